"""Keys and certificates of one cluster: a CA and what it signs. `distill up` makes them once, before the supervisor starts.

Every client of the API server is known by its certificate (common name = user, organizations = groups).
"""

import datetime as dt
import ipaddress
import shutil
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from distill_local import layout

_LIFETIME = dt.timedelta(days=3650)
_CLOCK_SKEW = dt.timedelta(hours=1)
MASTERS = "system:masters"


@dataclass(frozen=True)
class Identity:
    """One certificate: who it is for the API server, and the addresses and names it may serve on."""

    file: str
    user: str
    groups: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


API_SERVER = Identity(
    "apiserver",
    "kube-apiserver",
    # The first address of the service range is the Service `kubernetes`.
    addresses=("127.0.0.1", layout.API_ADDRESS, "10.96.0.1"),
    names=(
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ),
)
KUBELET_CLIENT = Identity("kubelet-client", "kube-apiserver-kubelet-client", (MASTERS,))
ADMIN = Identity("admin", "admin", (MASTERS,))
SUPERVISOR = Identity("supervisor", "distill:supervisor", (MASTERS,))
CONTROLLER_MANAGER = Identity("controller-manager", "system:kube-controller-manager")
SCHEDULER = Identity("scheduler", "system:kube-scheduler")
NODE = Identity("node", f"system:node:{layout.NODE_NAME}", ("system:nodes",))
NODE_SERVING = Identity(
    "node-serving", layout.NODE_NAME, addresses=(layout.NODE_ADDRESS,), names=(layout.NODE_NAME,)
)
GATEWAY = Identity("gateway", "distill:gateway", (MASTERS,))
KSERVE = Identity("kserve", "distill:kserve", (MASTERS,))
KSERVE_WEBHOOK = Identity(
    "kserve-webhook", "kserve-webhook-server", addresses=("127.0.0.1",), names=("localhost",)
)

IDENTITIES = (
    API_SERVER, KUBELET_CLIENT, ADMIN, SUPERVISOR, CONTROLLER_MANAGER, SCHEDULER, NODE, NODE_SERVING, GATEWAY, KSERVE, KSERVE_WEBHOOK,
)  # fmt: skip


@dataclass(frozen=True)
class Pki:
    """The files below a cluster's `pki` folder."""

    folder: Path

    @property
    def ca(self) -> Path:
        """Return the CA's certificate, which every side trusts."""
        return self.folder / "ca.crt"

    @property
    def ca_key(self) -> Path:
        """Return the CA's key; the controller manager signs requests with it."""
        return self.folder / "ca.key"

    @property
    def service_account_key(self) -> Path:
        """Return the key that signs service-account tokens."""
        return self.folder / "service-account.key"

    @property
    def service_account_public(self) -> Path:
        """Return the key that checks service-account tokens."""
        return self.folder / "service-account.pub"

    def certificate(self, identity: Identity) -> Path:
        """Return the certificate of `identity`, PEM."""
        return self.folder / f"{identity.file}.crt"

    def key(self, identity: Identity) -> Path:
        """Return the private key of `identity`, PEM."""
        return self.folder / f"{identity.file}.key"

    def client_context(self, identity: Identity) -> ssl.SSLContext:
        """Return a TLS context that trusts this cluster's CA and speaks as `identity`."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(str(self.certificate(identity)), str(self.key(identity)))
        return context


def ensure_pki(folder: Path) -> Pki:
    """Return the cluster's keys, made if they are not there; the folder appears whole or not at all."""
    if not folder.exists():
        draft = folder.with_name(f".{folder.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        _write_all(Pki(draft))
        draft.rename(folder)
    return Pki(folder)


def _write_all(pki: Pki) -> None:
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _ca_certificate(ca_key)
    _write_key(pki.ca_key, ca_key)
    pki.ca.write_bytes(ca.public_bytes(Encoding.PEM))
    for identity in IDENTITIES:
        key = ec.generate_private_key(ec.SECP256R1())
        _write_key(pki.key(identity), key)
        pki.certificate(identity).write_bytes(_signed(identity, key, ca, ca_key).public_bytes(Encoding.PEM))
    tokens = ec.generate_private_key(ec.SECP256R1())
    _write_key(pki.service_account_key, tokens)
    public = tokens.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    pki.service_account_public.write_bytes(public)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _ca_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "distill local cluster")])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = _builder(name, name, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    return builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())


def _signed(
    identity: Identity,
    key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in identity.groups]
    subject = x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, identity.user)])
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = _builder(subject, ca.subject, key).add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = builder.add_extension(authority, critical=False)
    alternatives: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(a)) for a in identity.addresses
    ]
    alternatives += [x509.DNSName(name) for name in identity.names]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(ca_key, hashes.SHA256())
