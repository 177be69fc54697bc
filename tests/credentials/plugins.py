"""An exec plugin that is good."""

import json

SECRET = "s3cret"


SAID = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": SECRET}}


GOOD = f"print('''{json.dumps(SAID)}''', flush=True)\n"
