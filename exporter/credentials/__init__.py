"""Our credentials for an apiserver: from a kubeconfig with exec plugins or a Pod's service account, renewed in time."""

from exporter.credentials.credentials import Credentials, CredentialsError, CredentialsSource

__all__ = ["Credentials", "CredentialsError", "CredentialsSource"]
