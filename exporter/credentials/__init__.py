"""Who we are for an apiserver: a kubeconfig with its exec plugins, or a Pod's service account, renewed in time."""

from exporter.credentials.credentials import Credentials, CredentialsError, CredentialsSource

__all__ = ["Credentials", "CredentialsError", "CredentialsSource"]
