"""The certificates of a cluster: two authorities, a server certificate and one for each client.

Made anew at every start and only for it, so they are valid for a year and nobody renews them. The
front-proxy authority is apart from the cluster's: who may speak for others must not be issued by
the authority that every client has. One server certificate serves all components, as all of them
listen on the same node.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devcluster.layout import DNS_DOMAIN, KUBERNETES_SERVICE, NODE_ADDRESS, Layout

LIFETIME = datetime.timedelta(days=365)


@dataclass(frozen=True)
class Client:
    """Somebody who speaks to the API server."""

    file: str
    user: str
    group: str | None = None


@dataclass(frozen=True)
class Issued:
    """A key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def key_pem(self) -> bytes:
        """The key, unencrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )

    @property
    def certificate_pem(self) -> bytes:
        """The certificate alone, without its issuer."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, directory: Path, name: str) -> None:
        """Write NAME.key, readable by the owner only, and NAME.crt."""
        key = directory / f"{name}.key"
        key.touch(mode=0o600)
        key.write_bytes(self.key_pem)
        (directory / f"{name}.crt").write_bytes(self.certificate_pem)


def clients(layout: Layout) -> tuple[Client, ...]:
    """Everybody who gets a kubeconfig; the names are the ones that RBAC knows."""
    return (
        Client("admin", "agentherd-admin", "system:masters"),
        Client("controller-manager", "system:kube-controller-manager"),
        Client("scheduler", "system:kube-scheduler"),
        Client("kubelet", f"system:node:{layout.name}", "system:nodes"),
        Client("kube-proxy", "system:kube-proxy"),
        Client("coredns", "agentherd-dns", "system:masters"),
    )


def server_names() -> tuple[str, ...]:
    """The names and addresses under which a component can be called."""
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
    full = f"kubernetes.default.svc.{DNS_DOMAIN}"
    return (*service, full, "localhost", "127.0.0.1", NODE_ADDRESS, KUBERNETES_SERVICE)


def write_all(layout: Layout, now: datetime.datetime) -> None:
    """Fill the pki directory and write a kubeconfig for every client."""
    layout.pki.mkdir(parents=True, exist_ok=True)
    authority = _authority("agentherd-ca", now)
    front_proxy = _authority("agentherd-front-proxy-ca", now)
    authority.write(layout.pki, "ca")
    front_proxy.write(layout.pki, "front-proxy-ca")
    _server(authority, layout.name, now).write(layout.pki, "server")
    _client(front_proxy, Client("", "front-proxy-client"), now).write(
        layout.pki, "front-proxy-client"
    )
    kubelet_client = Client("", "kube-apiserver-kubelet-client", "system:masters")
    _client(authority, kubelet_client, now).write(layout.pki, "kubelet-client")
    service_account = ec.generate_private_key(ec.SECP256R1())
    _self_signed(service_account, "service-account", now).write(layout.pki, "service-account")
    (layout.pki / "service-account.pub").write_bytes(
        service_account.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    for client in clients(layout):
        target = layout.pki / f"{client.file}.kubeconfig"
        text = kubeconfig(layout, authority, _client(authority, client, now), client.user)
        for path in (target, layout.kubeconfig) if client.file == "admin" else (target,):
            path.touch(mode=0o600)
            path.write_text(text)


def kubeconfig(layout: Layout, authority: Issued, client: Issued, user: str) -> str:
    """A kubeconfig with everything inlined, so that the file can be copied."""
    name = layout.name

    def inline(content: bytes) -> str:
        return base64.b64encode(content).decode()

    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": f"https://127.0.0.1:{layout.api.number}",
                    "certificate-authority-data": inline(authority.certificate_pem),
                },
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": inline(client.certificate_pem),
                    "client-key-data": inline(client.key_pem),
                },
            }
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)


def _authority(name: str, now: datetime.datetime) -> Issued:
    return _self_signed(ec.generate_private_key(ec.SECP256R1()), name, now)


def _self_signed(key: ec.EllipticCurvePrivateKey, name: str, now: datetime.datetime) -> Issued:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key, now).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    builder = builder.add_extension(_key_usage(authority=True), critical=True)
    return Issued(key, builder.sign(key, hashes.SHA256()))


def _server(authority: Issued, name: str, now: datetime.datetime) -> Issued:
    names = [_alternative_name(text) for text in (name, *server_names())]
    return _issue(
        authority,
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        now,
        usages=[ExtendedKeyUsageOID.SERVER_AUTH],
        names=names,
    )


def _client(authority: Issued, client: Client, now: datetime.datetime) -> Issued:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, client.user)]
    if client.group:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, client.group))
    return _issue(
        authority, x509.Name(attributes), now, usages=[ExtendedKeyUsageOID.CLIENT_AUTH], names=[]
    )


def _issue(
    authority: Issued,
    subject: x509.Name,
    now: datetime.datetime,
    *,
    usages: list[x509.ObjectIdentifier],
    names: list[x509.GeneralName],
) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(subject, authority.certificate.subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Issued(key, builder.sign(authority.key, hashes.SHA256()))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    # An hour back, as clocks of virtual machines step after a resume.
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
