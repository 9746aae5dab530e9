"""What the random, tls and docker providers compute: real random values, keys, certificates, and image digests.

One generator a resource type. It is given the checked inputs and returns the id and the computed outputs of the
new resource, as the real provider does. Where the real provider's id carries the value in the clear, it does here
too: what leaks there must leak here.

Inputs and outputs have wire names (camelCase). Numbers may be floats, because the engine's protocol knows no
integers. A generator raises ValueError for what the real provider refuses when it creates the resource.

Left out: ``bcryptHash`` of a random password. No library in the requirements can make one.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import secrets
import string
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Generated:
    """What a provider computes when it creates a resource. ``outputs`` are plain JSON values by wire name."""

    id: str
    outputs: dict[str, object]


Generator = Callable[[Inputs], Generated]


# --- random: hashicorp/terraform-provider-random internal/provider, pulumi/pulumi-random provider/resources.go

# internal/random/string.go
_SPECIAL = "!@#$%&*()-_=+[]{}<>:?"


def _random_text(inputs: Inputs) -> tuple[str, dict[str, object]]:
    """Return a random text and the settings that made it: what is given, and the defaults for the rest."""
    # "number" is the deprecated name of "numeric". The provider keeps the two equal.
    numeric = inputs.get("numeric", inputs.get("number", True))
    if inputs.get("number", numeric) != numeric:
        raise ValueError(
            "number and numeric are both given with different values: number is deprecated, leave it out"
        )
    settings: dict[str, object] = {"number": numeric, "numeric": numeric}
    characters: list[str] = []
    alphabets: list[str] = []
    for setting, alphabet in (
        ("Upper", string.ascii_uppercase),
        ("Lower", string.ascii_lowercase),
        ("Numeric", string.digits),
        ("Special", inputs.get("overrideSpecial") or _SPECIAL),
    ):
        enabled = settings.setdefault(setting.lower(), inputs.get(setting.lower(), True))
        minimum = int(inputs.get(f"min{setting}", 0))
        settings[f"min{setting}"] = minimum
        # A minimum counts also for a class that is switched off.
        characters += _choices(alphabet, minimum)
        alphabets += [alphabet] if enabled else []
    rest = int(inputs["length"]) - len(characters)
    if rest < 0:
        raise ValueError(f"length must be at least {len(characters)}: the sum of the minima")
    if rest and not alphabets:
        raise ValueError("at least one of upper, lower, numeric and special must be true")
    characters += _choices("".join(alphabets), rest)
    secrets.SystemRandom().shuffle(characters)
    return "".join(characters), settings


def _choices(alphabet: str, count: int) -> list[str]:
    return [secrets.choice(alphabet) for _ in range(count)]


def _random_password(inputs: Inputs) -> Generated:
    result, settings = _random_text(inputs)
    return Generated("none", {**settings, "result": result})


def _random_string(inputs: Inputs) -> Generated:
    result, settings = _random_text(inputs)
    return Generated(result, {**settings, "result": result})


def _random_bytes(inputs: Inputs) -> Generated:
    value = secrets.token_bytes(int(inputs["length"]))
    encoded = base64.b64encode(value).decode()
    # Terraform's id is "none". Pulumi's is the value itself: computeRandomBytesID in provider/resources.go.
    return Generated(encoded, {"base64": encoded, "hex": value.hex()})


def _random_id(inputs: Inputs) -> Generated:
    value = secrets.token_bytes(int(inputs["byteLength"]))
    identity = base64.urlsafe_b64encode(value).decode().rstrip("=")
    encodings = {
        "b64Std": base64.b64encode(value).decode(),
        "b64Url": identity,
        "dec": str(int.from_bytes(value, "big")),
        "hex": value.hex(),
    }
    prefix = inputs.get("prefix", "")
    return Generated(identity, {name: f"{prefix}{encoding}" for name, encoding in encodings.items()})


def _random_uuid(_: Inputs) -> Generated:
    # hashicorp/go-uuid formats 16 random bytes and sets no version bits.
    result = str(uuid.UUID(bytes=secrets.token_bytes(16)))
    return Generated(result, {"result": result})


def _random_integer(inputs: Inputs) -> Generated:
    if inputs.get("seed"):
        raise ValueError("seed is not modelled: the value comes from Go's own random number generator")
    minimum, maximum = int(inputs["min"]), int(inputs["max"])
    if maximum < minimum:
        raise ValueError(f"min ({minimum}) must not be larger than max ({maximum})")
    result = minimum + secrets.randbelow(maximum - minimum + 1)
    return Generated(str(result), {"result": result})


# --- tls: hashicorp/terraform-provider-tls internal/provider

_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "P224": ec.SECP224R1,
    "P256": ec.SECP256R1,
    "P384": ec.SECP384R1,
    "P521": ec.SECP521R1,
}

_PEM = serialization.Encoding.PEM
_NO_ENCRYPTION = serialization.NoEncryption()

# common_cert.go; the object identifiers of Go's crypto/x509 that the library has no name for.
_KEY_USAGES = {
    "digital_signature": "digital_signature",
    "content_commitment": "content_commitment",
    "key_encipherment": "key_encipherment",
    "data_encipherment": "data_encipherment",
    "key_agreement": "key_agreement",
    "cert_signing": "key_cert_sign",
    "crl_signing": "crl_sign",
    "encipher_only": "encipher_only",
    "decipher_only": "decipher_only",
}
_EXTENDED_KEY_USAGES = {
    "any_extended": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code_signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email_protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "ipsec_end_system": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec_tunnel": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec_user": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp_signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "microsoft_server_gated_crypto": x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape_server_gated_crypto": x509.ObjectIdentifier("2.16.840.1.113730.4.1"),
    "microsoft_commercial_code_signing": x509.ObjectIdentifier("1.3.6.1.4.1.311.2.1.22"),
    "microsoft_kernel_code_signing": x509.ObjectIdentifier("1.3.6.1.4.1.311.61.1.1"),
}

# In the order in which Go's crypto/x509/pkix writes them.
_SUBJECT = {
    "country": NameOID.COUNTRY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "province": NameOID.STATE_OR_PROVINCE_NAME,
    "streetAddresses": NameOID.STREET_ADDRESS,
    "postalCode": NameOID.POSTAL_CODE,
    "commonName": NameOID.COMMON_NAME,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "emailAddress": NameOID.EMAIL_ADDRESS,
}


def _private_key(inputs: Inputs) -> Generated:
    bits = int(inputs.get("rsaBits", 2048))
    curve = inputs.get("ecdsaCurve", "P224")
    key: _PrivateKey
    match inputs["algorithm"]:
        case "RSA":
            # 65537 is the exponent of Go's rsa.GenerateKey.
            key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        case "ECDSA":
            key = ec.generate_private_key(_CURVES[curve]())
        case "ED25519":
            key = ed25519.Ed25519PrivateKey.generate()
        case other:
            raise ValueError(f"{other} is no key algorithm: it must be RSA, ECDSA or ED25519")
    public = key.public_key()
    # Only PKCS#8 can hold an Ed25519 key.
    is_ed25519 = isinstance(key, ed25519.Ed25519PrivateKey)
    pem_format = serialization.PrivateFormat.PKCS8 if is_ed25519 else serialization.PrivateFormat.TraditionalOpenSSL
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Generated(
        _checksum(der),
        {
            "ecdsaCurve": curve,
            "rsaBits": bits,
            "privateKeyPem": key.private_bytes(_PEM, pem_format, _NO_ENCRYPTION).decode(),
            "privateKeyPemPkcs8": key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, _NO_ENCRYPTION).decode(),
            "publicKeyPem": public.public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode(),
            **_openssh(key),
        },
    )


def _openssh(key: _PrivateKey) -> dict[str, object]:
    """Return the key in OpenSSH's own formats. OpenSSH has none for curve P224: the provider gives empty texts."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP224R1):
        return dict.fromkeys(
            ("privateKeyOpenssh", "publicKeyOpenssh", "publicKeyFingerprintMd5", "publicKeyFingerprintSha256"), ""
        )
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    blob = base64.b64decode(line.split()[1])
    sha256 = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return {
        "privateKeyOpenssh": key.private_bytes(_PEM, serialization.PrivateFormat.OpenSSH, _NO_ENCRYPTION).decode(),
        "publicKeyOpenssh": f"{line.decode()}\n",
        "publicKeyFingerprintMd5": hashlib.md5(blob, usedforsecurity=False).digest().hex(":"),
        "publicKeyFingerprintSha256": f"SHA256:{sha256}",
    }


def _checksum(der: bytes) -> str:
    """Return the id of a key or request: the provider trims white space off the binary, then takes the SHA-1."""
    return hashlib.sha1(der.strip(), usedforsecurity=False).hexdigest()


def _cert_request(inputs: Inputs) -> Generated:
    key = _load_key(inputs, "privateKeyPem")
    builder = x509.CertificateSigningRequestBuilder(_subject(inputs))
    if names := _alternative_names(inputs):
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    request = builder.sign(key, _signature_hash(key))
    return Generated(
        _checksum(request.public_bytes(serialization.Encoding.DER)),
        {"certRequestPem": request.public_bytes(_PEM).decode(), "keyAlgorithm": _algorithm(key)},
    )


def _self_signed_cert(inputs: Inputs) -> Generated:
    key = _load_key(inputs, "privateKeyPem")
    own_key_id = _subject_key_id(inputs, key.public_key())
    set_authority = bool(inputs.get("setAuthorityKeyId", False))
    if set_authority and own_key_id is None:
        raise ValueError("could not determine the authority key identifier: set setSubjectKeyId too")
    subject = _subject(inputs)
    generated = _certificate(
        inputs,
        subject=subject,
        names=_alternative_names(inputs),
        public_key=key.public_key(),
        issuer=subject,
        authority_key_id=own_key_id if set_authority else None,
        signer=key,
    )
    generated.outputs.update(keyAlgorithm=_algorithm(key), setAuthorityKeyId=set_authority)
    return generated


def _locally_signed_cert(inputs: Inputs) -> Generated:
    authority = x509.load_pem_x509_certificate(inputs["caCertPem"].encode())
    authority_key = _load_key(inputs, "caPrivateKeyPem")
    if authority.public_key() != authority_key.public_key():
        raise ValueError("the private key of the certificate authority does not match its certificate's public key")
    request = x509.load_pem_x509_csr(inputs["certRequestPem"].encode())
    public_key = request.public_key()
    if not isinstance(public_key, _PublicKey):
        raise ValueError("the key of the certificate request must be RSA, ECDSA or ED25519")
    authority_key_id = _extension(authority.extensions, x509.SubjectKeyIdentifier)
    # Go's x509.CreateCertificate: no authority key identifier where the issuer's name is the subject's own.
    if request.subject == authority.subject:
        authority_key_id = None
    names = _extension(request.extensions, x509.SubjectAlternativeName) or ()
    generated = _certificate(
        inputs,
        subject=request.subject,
        # The provider takes over these three kinds of names and no other extension of the request.
        names=[
            name for name in names if isinstance(name, x509.DNSName | x509.IPAddress | x509.UniformResourceIdentifier)
        ],
        public_key=public_key,
        issuer=authority.subject,
        authority_key_id=authority_key_id,
        signer=authority_key,
    )
    generated.outputs.update(caKeyAlgorithm=_algorithm(authority_key))
    return generated


def _certificate(
    inputs: Inputs,
    *,
    subject: x509.Name,
    names: Iterable[x509.GeneralName],
    public_key: _PublicKey,
    issuer: x509.Name,
    authority_key_id: x509.SubjectKeyIdentifier | None,
    signer: _PrivateKey,
) -> Generated:
    """Issue a certificate: createCertificate in common_cert.go, and Go's x509.CreateCertificate for the rest."""
    is_authority = bool(inputs.get("isCaCertificate", False))
    if is_authority and not list(subject):
        raise ValueError("the subject of a certificate authority must contain at least one distinguished name")
    start = datetime.now(UTC)
    end = start + timedelta(hours=inputs["validityPeriodHours"])
    # 128 random bits, as in the provider; RFC 5280 4.1.2.2 allows up to 20 octets.
    serial_number = secrets.randbits(128)
    builder = x509.CertificateBuilder(issuer, subject, public_key, serial_number, start, end)
    uses: list[str] = inputs["allowedUses"]
    if key_usages := [_KEY_USAGES[use] for use in uses if use in _KEY_USAGES]:
        flags = {flag: flag in key_usages for flag in _KEY_USAGES.values()}
        builder = builder.add_extension(x509.KeyUsage(**flags), critical=True)
    if extended := [_EXTENDED_KEY_USAGES[use] for use in uses if use in _EXTENDED_KEY_USAGES]:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    path_length = int(inputs.get("maxPathLength", -1))
    builder = builder.add_extension(
        # -1 is no limit. The limit is ignored for what is no authority.
        x509.BasicConstraints(is_authority, path_length if is_authority and path_length >= 0 else None),
        critical=True,
    )
    if key_id := _subject_key_id(inputs, public_key):
        builder = builder.add_extension(key_id, critical=False)
    if authority_key_id:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_key_id), critical=False
        )
    if names := list(names):
        # RFC 5280 4.2.1.6: critical where it is the only name.
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not list(subject))
    certificate = builder.sign(signer, _signature_hash(signer))
    return Generated(
        str(serial_number),
        {
            "certPem": certificate.public_bytes(_PEM).decode(),
            "earlyRenewalHours": int(inputs.get("earlyRenewalHours", 0)),
            "isCaCertificate": is_authority,
            # Becomes true when a later refresh finds the certificate in its last earlyRenewalHours.
            "readyForRenewal": False,
            "setSubjectKeyId": bool(inputs.get("setSubjectKeyId", False)),
            "validityStartTime": _timestamp(start),
            "validityEndTime": _timestamp(end),
        },
    )


def _subject_key_id(inputs: Inputs, public_key: _PublicKey) -> x509.SubjectKeyIdentifier | None:
    if inputs.get("isCaCertificate") or inputs.get("setSubjectKeyId"):
        return x509.SubjectKeyIdentifier.from_public_key(public_key)
    return None


def _extension(extensions: x509.Extensions, kind: type[_Extension]) -> _Extension | None:
    return next((extension.value for extension in extensions if isinstance(extension.value, kind)), None)


def _timestamp(moment: datetime) -> str:
    """Return RFC 3339 as Go writes it for UTC."""
    return moment.isoformat().replace("+00:00", "Z")


def _subject(inputs: Inputs) -> x509.Name:
    given: Inputs = inputs.get("subject") or {}
    attributes: list[x509.NameAttribute[str]] = []
    for name, identifier in _SUBJECT.items():
        value: str | list[str] = given.get(name) or []
        parts = [value] if isinstance(value, str) else value
        attributes += [x509.NameAttribute(identifier, part) for part in parts]
    return x509.Name(attributes)


def _alternative_names(inputs: Inputs) -> list[x509.GeneralName]:
    return [
        *map(x509.DNSName, inputs.get("dnsNames") or ()),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in inputs.get("ipAddresses") or ()),
        *map(x509.UniformResourceIdentifier, inputs.get("uris") or ()),
    ]


def _load_key(inputs: Inputs, name: str) -> _PrivateKey:
    """Return the key in the property ``name``, or in its write-only twin."""
    pem: str = inputs.get(name) or inputs[f"{name}Wo"]
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, _PrivateKey):
        raise ValueError(f"{name} must be an RSA, ECDSA or ED25519 key")
    return key


def _algorithm(key: _PrivateKey) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return "RSA"
    return "ECDSA" if isinstance(key, ec.EllipticCurvePrivateKey) else "ED25519"


def _signature_hash(key: _PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    """Return the hash that Go's crypto/x509 takes by default. Ed25519 has its own."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {"secp384r1": hashes.SHA384, "secp521r1": hashes.SHA512}.get(key.curve.name, hashes.SHA256)()
    return hashes.SHA256()


# --- docker: kreuzwerker/terraform-provider-docker internal/provider


def _digest(*parts: object) -> str:
    """Return a digest in Docker's form. There is no image to take it of: it stands for one, always the same."""
    return f"sha256:{hashlib.sha256(''.join(map(str, parts)).encode()).hexdigest()}"


def _remote_image(inputs: Inputs) -> Generated:
    name: str = inputs["name"]
    image_id = _digest(name)
    tagged, _, pinned_digest = name.partition("@")
    registry, slash, repository = tagged.rpartition("/")
    # Only in the last part does a colon start a tag; before that it starts a port.
    repo_digest = f"{registry}{slash}{repository.partition(':')[0]}@{pinned_digest or image_id}"
    return Generated(f"{image_id}{name}", {"imageId": image_id, "repoDigest": repo_digest})


def _registry_image(inputs: Inputs) -> Generated:
    # The triggers stand for the content: the same name pushed again with another content has another digest.
    triggers: Mapping[str, str] = inputs.get("triggers") or {}
    digest = _digest(inputs["name"], *sorted(triggers.items()))
    return Generated(digest, {"sha256Digest": digest})


def _tag(inputs: Inputs) -> Generated:
    source: str = inputs["sourceImage"]
    image_id = source if source.startswith("sha256:") else _digest(source)
    return Generated(f"{source}.{inputs['targetImage']}", {"sourceImageId": image_id})


GENERATORS: dict[str, Generator] = {
    "random:index/randomPassword:RandomPassword": _random_password,
    "random:index/randomString:RandomString": _random_string,
    "random:index/randomBytes:RandomBytes": _random_bytes,
    "random:index/randomId:RandomId": _random_id,
    "random:index/randomUuid:RandomUuid": _random_uuid,
    "random:index/randomInteger:RandomInteger": _random_integer,
    "tls:index/privateKey:PrivateKey": _private_key,
    "tls:index/certRequest:CertRequest": _cert_request,
    "tls:index/selfSignedCert:SelfSignedCert": _self_signed_cert,
    "tls:index/locallySignedCert:LocallySignedCert": _locally_signed_cert,
    "docker:index/remoteImage:RemoteImage": _remote_image,
    "docker:index/registryImage:RegistryImage": _registry_image,
    "docker:index/tag:Tag": _tag,
}
"""What makes the id and the outputs of a new resource, by type token."""

SECRET_OUTPUTS: dict[str, tuple[str, ...]] = {
    "random:index/randomPassword:RandomPassword": ("bcryptHash", "result"),
    "random:index/randomBytes:RandomBytes": ("base64", "hex"),
    "tls:index/privateKey:PrivateKey": ("privateKeyOpenssh", "privateKeyPem", "privateKeyPemPkcs8"),
    "tls:index/certRequest:CertRequest": ("privateKeyPem", "privateKeyPemWo"),
    "tls:index/selfSignedCert:SelfSignedCert": ("privateKeyPem", "privateKeyPemWo"),
    "tls:index/locallySignedCert:LocallySignedCert": ("caPrivateKeyPem", "caPrivateKeyPemWo"),
    "cloudflare:index/authenticatedOriginPullsCertificate:AuthenticatedOriginPullsCertificate": ("privateKey",),
}
"""Properties that the real provider marks secret, by type token."""
