"""The offline random, tls, docker and cloudflare providers: what they compute, and their rule files."""

import base64
import hashlib
import importlib
import ipaddress
import re
import string
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from hypothesis import assume, given
from hypothesis import strategies as st

from offline.generators import GENERATORS, SECRET_OUTPUTS, Generated
from offline.rules.model import Range, TypeRules, package_rules
from offline.sdk_types import UNKNOWN, input_types, output_names, type_problems

# The Cloudflare SDK warns of its own old names when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:cloudflare.* has been deprecated:DeprecationWarning")

RULES: dict[str, TypeRules] = {
    token: rules
    for package in ("random", "tls", "docker", "cloudflare")
    for token, rules in package_rules(package).items()
}
TOKENS = {token.rpartition(":")[2]: token for token in RULES}


def generate(type_name: str, /, **inputs: Any) -> Generated:
    """Create a resource of the type of that name, with inputs that the SDK accepts."""
    assert list(type_problems(TOKENS[type_name], inputs)) == []
    return GENERATORS[TOKENS[type_name]](inputs)


# --- random

SPECIAL = "!@#$%&*()-_=+[]{}<>:?"
ALPHABETS = {
    "upper": string.ascii_uppercase,
    "lower": string.ascii_lowercase,
    "numeric": string.digits,
    "special": SPECIAL,
}
TEXTS = ["RandomPassword", "RandomString"]


def minimum_of(name: str) -> str:
    return f"min{name.title()}"


@st.composite
def text_inputs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw settings that the real provider accepts. Numbers are floats, as the engine sends them."""
    inputs: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                **dict.fromkeys(ALPHABETS, st.booleans()),
                **dict.fromkeys(map(minimum_of, ALPHABETS), st.integers(0, 4).map(float)),
            },
        )
    )
    minimum = sum(inputs.get(minimum_of(name), 0) for name in ALPHABETS)
    spare = draw(st.integers(0, 64))
    assume(minimum + spare > 0)
    assume(spare == 0 or any(inputs.get(name, True) for name in ALPHABETS))
    return {**inputs, "length": float(minimum + spare)}


@given(text_inputs(), st.sampled_from(TEXTS))
def test_random_text_has_the_length_and_the_classes(inputs: dict[str, Any], name: str) -> None:
    """Guards against a text that is too short, misses a minimum, or uses a class that is switched off."""
    result = generate(name, **inputs).outputs["result"]
    assert isinstance(result, str)
    assert len(result) == inputs["length"]
    counts = Counter(
        next(key for key, alphabet in ALPHABETS.items() if character in alphabet) for character in result
    )
    for key in ALPHABETS:
        minimum = inputs.get(minimum_of(key), 0)
        assert counts[key] >= minimum
        if not inputs.get(key, True):
            assert counts[key] == minimum


def test_random_text_uses_every_character_of_its_classes() -> None:
    """Guards against a class that lacks a character: 20,000 draws miss one of 83 with a chance below 10^-100."""
    assert set(str(generate("RandomPassword", length=20_000).outputs["result"])) == set("".join(ALPHABETS.values()))


@given(st.text("§$.,/", min_size=1), st.sampled_from(TEXTS))
def test_random_text_takes_its_own_special_characters(special: str, name: str) -> None:
    """Guards against a password with a character that its user cannot type or its database refuses."""
    outputs = generate(name, length=20, upper=False, lower=False, numeric=False, overrideSpecial=special).outputs
    assert set(str(outputs["result"])) <= set(special)


def test_random_text_is_not_sorted_by_class() -> None:
    """Guards against a password whose first characters are always of the same class."""
    firsts = {
        str(
            generate("RandomPassword", length=4, minUpper=1, minLower=1, minNumeric=1, minSpecial=1).outputs["result"]
        )[0]
        for _ in range(200)  # A class is missing with a chance of 4 * 0.75^200, below 10^-24.
    }
    assert all(firsts & set(alphabet) for alphabet in ALPHABETS.values())


@pytest.mark.parametrize("name", TEXTS)
def test_random_text_tells_the_defaults(name: str) -> None:
    """Guards against outputs that a program reads and that only the real provider has."""
    outputs = generate(name, length=8.0, number=False, minLower=2.0).outputs
    del outputs["result"]
    assert outputs == {
        "upper": True,
        "lower": True,
        "number": False,
        "numeric": False,
        "special": True,
        "minUpper": 0,
        "minLower": 2,
        "minNumeric": 0,
        "minSpecial": 0,
    }


@given(st.integers(1, 64))
def test_random_bytes_are_one_value_in_two_encodings(length: int) -> None:
    """Guards against encodings that do not agree, and against Go's base64 alphabet without padding."""
    outputs = generate("RandomBytes", length=float(length)).outputs
    value = base64.b64decode(str(outputs["base64"]), validate=True)
    assert len(value) == length
    assert outputs == {"base64": base64.b64encode(value).decode(), "hex": value.hex()}


@given(st.integers(1, 64), st.sampled_from(["", "node-"]))
def test_random_id_is_one_value_in_four_encodings(length: int, prefix: str) -> None:
    """Guards against a prefix that is left out, or that gets into the id."""
    made = generate("RandomId", byteLength=float(length), prefix=prefix)
    value = base64.urlsafe_b64decode(made.id + "=" * (-len(made.id) % 4))
    assert len(value) == length
    assert "=" not in made.id
    assert made.outputs == {
        "b64Std": prefix + base64.b64encode(value).decode(),
        "b64Url": prefix + made.id,
        "dec": f"{prefix}{int.from_bytes(value)}",
        "hex": prefix + value.hex(),
    }


@given(st.integers(-5, 5), st.integers(0, 3))
def test_random_integer_lies_in_its_range(minimum: int, width: int) -> None:
    """Guards against a limit that is off by one."""
    made = generate("RandomInteger", min=float(minimum), max=float(minimum + width))
    result = made.outputs["result"]
    assert isinstance(result, int)
    assert minimum <= result <= minimum + width
    assert made.id == str(result)


def test_random_integer_reaches_both_ends() -> None:
    """Guards against an exclusive upper limit: one of two values is missing in 100 with a chance of 2^-99."""
    assert {generate("RandomInteger", min=1, max=2).outputs["result"] for _ in range(100)} == {1, 2}


# What holds the value, and what of it stands in the id. The id is in the state in the clear, whatever is secret.
LEAKS: list[tuple[str, dict[str, Any], str, Callable[[str], str] | None]] = [
    ("RandomPassword", {"length": 32}, "result", None),
    ("RandomString", {"length": 32}, "result", str),
    ("RandomBytes", {"length": 32}, "base64", str),
    ("RandomId", {"byteLength": 32, "prefix": "node-"}, "b64Url", lambda value: value.removeprefix("node-")),
    ("RandomUuid", {}, "result", str),
    ("RandomInteger", {"min": 0, "max": 2**62}, "result", str),
]


@pytest.mark.parametrize(("name", "inputs", "output", "in_id"), LEAKS, ids=[leak[0] for leak in LEAKS])
def test_id_carries_the_value_where_the_real_one_does(
    name: str, inputs: dict[str, Any], output: str, in_id: Callable[[str], str] | None
) -> None:
    """Guards against a secret that offline looks safe in the state and in reality is readable there."""
    made = generate(name, **inputs)
    assert made.id == ("none" if in_id is None else in_id(str(made.outputs[output])))


@pytest.mark.parametrize(("name", "inputs", "output", "_"), LEAKS, ids=[leak[0] for leak in LEAKS])
def test_every_value_is_new(name: str, inputs: dict[str, Any], output: str, _: object) -> None:
    """Guards against a constant or seeded value: two of them are equal with a chance of 2^-62 or less."""
    assert generate(name, **inputs).outputs[output] != generate(name, **inputs).outputs[output]


def test_random_uuid_is_written_as_one() -> None:
    """Guards against a value that Consul refuses as a token."""
    result = str(generate("RandomUuid").outputs["result"])
    assert str(uuid.UUID(result)) == result


# --- tls


@pytest.fixture(scope="module")
def rsa_key() -> dict[str, Any]:
    """One RSA key for all tests: making one takes a noticeable part of a second."""
    return generate("PrivateKey", algorithm="RSA").outputs


KINDS: list[tuple[dict[str, Any], type, int]] = [
    ({"algorithm": "RSA"}, rsa.RSAPrivateKey, 2048),
    ({"algorithm": "RSA", "rsaBits": 3072.0}, rsa.RSAPrivateKey, 3072),
    ({"algorithm": "ECDSA"}, ec.EllipticCurvePrivateKey, 224),
    ({"algorithm": "ECDSA", "ecdsaCurve": "P224"}, ec.EllipticCurvePrivateKey, 224),
    ({"algorithm": "ECDSA", "ecdsaCurve": "P256"}, ec.EllipticCurvePrivateKey, 256),
    ({"algorithm": "ECDSA", "ecdsaCurve": "P384"}, ec.EllipticCurvePrivateKey, 384),
    ({"algorithm": "ECDSA", "ecdsaCurve": "P521"}, ec.EllipticCurvePrivateKey, 521),
    ({"algorithm": "ED25519"}, ed25519.Ed25519PrivateKey, 0),
]
PEM_LABELS = {
    rsa.RSAPrivateKey: "RSA PRIVATE KEY",
    ec.EllipticCurvePrivateKey: "EC PRIVATE KEY",
    ed25519.Ed25519PrivateKey: "PRIVATE KEY",
}


@pytest.mark.parametrize(("inputs", "kind", "size"), KINDS, ids=[str(kind[0]) for kind in KINDS])
def test_private_key_is_one_key_in_every_format(inputs: dict[str, Any], kind: type, size: int) -> None:
    """Guards against a format that cannot be read, that holds another key, or that has another size."""
    made = generate("PrivateKey", **inputs)
    outputs = {name: str(value) for name, value in made.outputs.items()}
    key = serialization.load_pem_private_key(outputs["privateKeyPem"].encode(), password=None)
    assert isinstance(key, kind)
    assert getattr(key, "key_size", 0) == size
    assert outputs["privateKeyPem"].startswith(f"-----BEGIN {PEM_LABELS[kind]}-----\n")
    assert outputs["privateKeyPemPkcs8"].startswith("-----BEGIN PRIVATE KEY-----\n")
    pkcs8 = serialization.load_pem_private_key(outputs["privateKeyPemPkcs8"].encode(), password=None)
    public = serialization.load_pem_public_key(outputs["publicKeyPem"].encode())
    assert key.public_key() == pkcs8.public_key() == public
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    # The provider trims white space off the binary before it takes the checksum.
    assert made.id == hashlib.sha1(der.strip()).hexdigest()
    openssh = [outputs[name] for name in ("privateKeyOpenssh", "publicKeyOpenssh")]
    fingerprints = [outputs[name] for name in ("publicKeyFingerprintMd5", "publicKeyFingerprintSha256")]
    if size == 224:
        assert [*openssh, *fingerprints] == ["", "", "", ""]
        return
    assert serialization.load_ssh_private_key(openssh[0].encode(), password=None).public_key() == public
    assert serialization.load_ssh_public_key(openssh[1].encode()) == public
    assert re.fullmatch(r"\S+ \S+\n", openssh[1])
    blob = base64.b64decode(openssh[1].split()[1])
    assert fingerprints[0].replace(":", "") == hashlib.md5(blob).hexdigest()
    assert re.fullmatch(r"([0-9a-f]{2}:){15}[0-9a-f]{2}", fingerprints[0])
    assert f"{fingerprints[1]}=" == f"SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode()}"


def test_private_key_tells_the_defaults(rsa_key: dict[str, Any]) -> None:
    """Guards against outputs that a program reads and that only the real provider has."""
    assert (rsa_key["rsaBits"], rsa_key["ecdsaCurve"]) == (2048, "P224")


SUBJECT = {
    "commonName": "server.us-east-1.consul",
    "country": "DE",
    "emailAddress": "operator@example.com",
    "locality": "Berlin",
    "organization": "Example",
    "organizationalUnit": "Platform",
    "postalCode": "10115",
    "province": "Berlin",
    "serialNumber": "7",
    "streetAddresses": ["First Street 1", "Second Street 2"],
}
# In the order of Go's crypto/x509/pkix.
DISTINGUISHED_NAMES = [
    ("2.5.4.6", "DE"),
    ("2.5.4.10", "Example"),
    ("2.5.4.11", "Platform"),
    ("2.5.4.7", "Berlin"),
    ("2.5.4.8", "Berlin"),
    ("2.5.4.9", "First Street 1"),
    ("2.5.4.9", "Second Street 2"),
    ("2.5.4.17", "10115"),
    ("2.5.4.3", "server.us-east-1.consul"),
    ("2.5.4.5", "7"),
    ("1.2.840.113549.1.9.1", "operator@example.com"),
]
DNS_NAMES = ["server.us-east-1.consul", "localhost"]
ADDRESSES = ["10.0.1.4", "::1"]
URIS = ["spiffe://example.com/server"]
HOURS = 24


def private_key(algorithm: str = "ECDSA", curve: str = "P256") -> str:
    return str(generate("PrivateKey", algorithm=algorithm, ecdsaCurve=curve).outputs["privateKeyPem"])


def authority(key: str, **inputs: Any) -> Generated:
    settings: dict[str, Any] = {
        "allowedUses": ["cert_signing", "crl_signing"],
        "isCaCertificate": True,
        "subject": {"commonName": "Example CA"},
        "validityPeriodHours": float(HOURS),
    }
    return generate("SelfSignedCert", privateKeyPem=key, **{**settings, **inputs})


def request(key: str, **inputs: Any) -> Generated:
    settings: dict[str, Any] = {
        "subject": SUBJECT,
        "dnsNames": DNS_NAMES,
        "ipAddresses": ADDRESSES,
        "uris": URIS,
    }
    return generate("CertRequest", privateKeyPem=key, **{**settings, **inputs})


def sign(made_request: Generated, made_authority: Generated, authority_key: str, **inputs: Any) -> Generated:
    settings: dict[str, Any] = {
        "allowedUses": ["digital_signature", "key_encipherment", "server_auth", "client_auth"],
        "validityPeriodHours": float(HOURS),
    }
    return generate(
        "LocallySignedCert",
        certRequestPem=made_request.outputs["certRequestPem"],
        caCertPem=made_authority.outputs["certPem"],
        caPrivateKeyPem=authority_key,
        **{**settings, **inputs},
    )


def certificate(made: Generated) -> x509.Certificate:
    return x509.load_pem_x509_certificate(str(made.outputs["certPem"]).encode())


def distinguished_names(name: x509.Name) -> list[tuple[str, str]]:
    return [(attribute.oid.dotted_string, str(attribute.value)) for attribute in name]


def used_as(issued: x509.Certificate) -> set[str]:
    """Return the key usages by the library's name and the extended ones by their number."""
    uses: set[str] = set()
    for extension in issued.extensions:
        if isinstance(extension.value, x509.KeyUsage):
            assert extension.critical
            # The two "only" flags are defined together with key_agreement alone.
            only = ("encipher_only", "decipher_only") if extension.value.key_agreement else ()
            names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
            names += ("key_agreement", "key_cert_sign", "crl_sign", *only)
            uses |= {name for name in names if getattr(extension.value, name)}
        elif isinstance(extension.value, x509.ExtendedKeyUsage):
            assert not extension.critical
            uses |= {usage.dotted_string for usage in extension.value}
    return uses


@pytest.mark.parametrize(
    ("algorithm", "curve"), [("RSA", "P224"), ("ECDSA", "P256"), ("ECDSA", "P384"), ("ECDSA", "P521")]
)
def test_server_certificate_verifies(algorithm: str, curve: str) -> None:
    """Guards against a chain that a TLS client refuses, and against names, addresses or usages that get lost."""
    before = datetime.now(UTC)
    root_key, server_key = private_key(algorithm, curve), private_key(algorithm, curve)
    root, server_request = authority(root_key), request(server_key)
    server = sign(server_request, root, root_key, earlyRenewalHours=8.0)
    leaf = certificate(server)
    asked: list[x509.DNSName | x509.IPAddress] = [
        *map(x509.DNSName, DNS_NAMES),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in ADDRESSES),
    ]
    for name in asked:
        verifier = PolicyBuilder().store(Store([certificate(root)])).build_server_verifier(name)
        assert verifier.verify(leaf, []) == [leaf, certificate(root)]
    stranger = PolicyBuilder().store(Store([certificate(authority(private_key()))])).build_server_verifier(asked[0])
    with pytest.raises(VerificationError):
        stranger.verify(leaf, [])

    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert not names.critical
    assert names.value.get_values_for_type(x509.DNSName) == DNS_NAMES
    assert list(map(str, names.value.get_values_for_type(x509.IPAddress))) == ADDRESSES
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == URIS
    assert distinguished_names(leaf.subject) == DISTINGUISHED_NAMES
    assert used_as(leaf) == {"digital_signature", "key_encipherment", "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"}
    assert used_as(certificate(root)) == {"key_cert_sign", "crl_sign"}
    key = serialization.load_pem_private_key(server_key.encode(), password=None)
    assert leaf.public_key() == key.public_key()

    assert server.id == str(leaf.serial_number)
    start, end = (datetime.fromisoformat(str(server.outputs[f"validity{edge}Time"])) for edge in ("Start", "End"))
    assert before <= start <= datetime.now(UTC)
    assert end - start == timedelta(hours=HOURS)
    assert (leaf.not_valid_before_utc, leaf.not_valid_after_utc) == (
        start.replace(microsecond=0),
        end.replace(microsecond=0),
    )
    assert str(server.outputs["validityEndTime"]).endswith("Z")
    del server.outputs["certPem"], server.outputs["validityStartTime"], server.outputs["validityEndTime"]
    assert server.outputs == {
        "caKeyAlgorithm": algorithm,
        "earlyRenewalHours": 8,
        "isCaCertificate": False,
        "readyForRenewal": False,
        "setSubjectKeyId": False,
    }
    assert root.outputs["keyAlgorithm"] == server_request.outputs["keyAlgorithm"] == algorithm
    assert root.outputs["setAuthorityKeyId"] is False


def test_ed25519_signs_certificates() -> None:
    """Guards against a key kind that the provider offers and that cannot sign here."""
    key = private_key("ED25519")
    root = authority(key)
    server = sign(request(key), root, key)
    certificate(server).verify_directly_issued_by(certificate(root))
    assert (root.outputs["keyAlgorithm"], server.outputs["caKeyAlgorithm"]) == ("ED25519", "ED25519")


def test_request_id_is_its_checksum(rsa_key: dict[str, Any]) -> None:
    """Guards against another id than the provider's: the SHA-1 of the request, without white space at its end."""
    made = request(rsa_key["privateKeyPem"])
    parsed = x509.load_pem_x509_csr(str(made.outputs["certRequestPem"]).encode())
    der = parsed.public_bytes(serialization.Encoding.DER)
    assert made.id == hashlib.sha1(der.strip()).hexdigest()
    assert parsed.is_signature_valid


def test_id_leaves_out_white_space_at_the_end() -> None:
    """Guards against an id that differs from the provider's for one key in 43: it trims the binary like a text."""
    for _ in range(5000):  # None of them ends in one of 6 of 256 bytes with a chance below 10^-50.
        made = generate("PrivateKey", algorithm="ECDSA", ecdsaCurve="P256")
        public = serialization.load_pem_public_key(str(made.outputs["publicKeyPem"]).encode())
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        if der != der.rstrip():
            assert made.id == hashlib.sha1(der.rstrip()).hexdigest()
            return
    pytest.fail("no key ends in white space")


def test_wrong_authority_key_is_refused() -> None:
    """Guards against a certificate that is signed by another key than its authority's and never verifies."""
    root = authority(private_key())
    with pytest.raises(ValueError, match="does not match its certificate's public key"):
        sign(request(private_key()), root, private_key())


def test_write_only_keys_sign_too() -> None:
    """Guards against a certificate that cannot be made with the key kept out of the state."""
    key = private_key()
    settings: dict[str, Any] = {"privateKeyPemWo": key, "privateKeyPemWoVersion": 1.0}
    root = generate(
        "SelfSignedCert",
        allowedUses=["cert_signing"],
        isCaCertificate=True,
        subject={"commonName": "Example CA"},
        validityPeriodHours=1.0,
        **settings,
    )
    made_request = generate("CertRequest", **settings)
    server = generate(
        "LocallySignedCert",
        allowedUses=[],
        caCertPem=root.outputs["certPem"],
        caPrivateKeyPemWo=key,
        caPrivateKeyPemWoVersion=1.0,
        certRequestPem=made_request.outputs["certRequestPem"],
        validityPeriodHours=1.0,
    )
    certificate(server).verify_directly_issued_by(certificate(root))
    assert used_as(certificate(server)) == set()


def test_request_of_another_maker_keeps_three_kinds_of_names() -> None:
    """Guards against a name that the provider drops, here an email address, getting into the certificate."""
    names = [x509.RFC822Name("operator@example.com"), x509.DNSName("localhost")]
    foreign = (
        x509.CertificateSigningRequestBuilder(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ed25519.Ed25519PrivateKey.generate(), None)
    )
    pem = foreign.public_bytes(serialization.Encoding.PEM).decode()
    key = private_key()
    leaf = certificate(sign(Generated("foreign", {"certRequestPem": pem}), authority(key), key))
    kept = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(kept) == [x509.DNSName("localhost")]


def test_certificate_with_its_authority_s_own_name() -> None:
    """Guards against an identifier that Go leaves out: where issuer and subject are the same name."""
    key = private_key()
    root = authority(key)
    same = certificate(sign(request(private_key(), subject={"commonName": "Example CA"}), root, key))
    other = certificate(sign(request(private_key()), root, key))
    identifiers = [
        any(isinstance(extension.value, x509.AuthorityKeyIdentifier) for extension in issued.extensions)
        for issued in (same, other)
    ]
    assert identifiers == [False, True]


def test_only_name_is_critical() -> None:
    """Guards against RFC 5280 4.2.1.6: the alternative name is critical where there is no subject."""
    key = private_key()
    root = authority(key)
    leaf = certificate(sign(request(key, subject={}), root, key))
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({}, x509.BasicConstraints(ca=True, path_length=None)),
        ({"maxPathLength": -1.0}, x509.BasicConstraints(ca=True, path_length=None)),
        ({"maxPathLength": 0.0}, x509.BasicConstraints(ca=True, path_length=0)),
        ({"maxPathLength": 2.0}, x509.BasicConstraints(ca=True, path_length=2)),
        ({"maxPathLength": 2.0, "isCaCertificate": False}, x509.BasicConstraints(ca=False, path_length=None)),
    ],
)
def test_path_length(inputs: dict[str, Any], expected: x509.BasicConstraints) -> None:
    """Guards against an authority that may sign more, or less, than it says."""
    constraints = certificate(authority(private_key(), **inputs)).extensions.get_extension_for_class(
        x509.BasicConstraints
    )
    assert constraints.critical
    assert constraints.value == expected


@pytest.mark.parametrize(
    ("inputs", "has_subject_key_id", "has_authority_key_id"),
    [
        ({"isCaCertificate": False}, False, False),
        ({"isCaCertificate": False, "setSubjectKeyId": True}, True, False),
        ({"isCaCertificate": False, "setSubjectKeyId": True, "setAuthorityKeyId": True}, True, True),
        ({}, True, False),
        ({"setAuthorityKeyId": True}, True, True),
    ],
)
def test_key_identifiers(inputs: dict[str, Any], has_subject_key_id: bool, has_authority_key_id: bool) -> None:
    """Guards against a chain that a verifier cannot build because an identifier is missing or differs."""
    issued = certificate(authority(private_key(), **inputs))
    identifier = x509.SubjectKeyIdentifier.from_public_key(issued.public_key())
    values = [extension.value for extension in issued.extensions]
    assert (identifier in values) is has_subject_key_id
    by_authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    assert (by_authority in values) is has_authority_key_id


# RFC 5280 4.2.1.3 and 4.2.1.12, and the vendors' own numbers as in Go's crypto/x509.
USES = {
    "any_extended": {"2.5.29.37.0"},
    "cert_signing": {"key_cert_sign"},
    "client_auth": {"1.3.6.1.5.5.7.3.2"},
    "code_signing": {"1.3.6.1.5.5.7.3.3"},
    "content_commitment": {"content_commitment"},
    "crl_signing": {"crl_sign"},
    "data_encipherment": {"data_encipherment"},
    "decipher_only": {"decipher_only", "key_agreement"},
    "digital_signature": {"digital_signature"},
    "email_protection": {"1.3.6.1.5.5.7.3.4"},
    "encipher_only": {"encipher_only", "key_agreement"},
    "ipsec_end_system": {"1.3.6.1.5.5.7.3.5"},
    "ipsec_tunnel": {"1.3.6.1.5.5.7.3.6"},
    "ipsec_user": {"1.3.6.1.5.5.7.3.7"},
    "key_agreement": {"key_agreement"},
    "key_encipherment": {"key_encipherment"},
    "microsoft_commercial_code_signing": {"1.3.6.1.4.1.311.2.1.22"},
    "microsoft_kernel_code_signing": {"1.3.6.1.4.1.311.61.1.1"},
    "microsoft_server_gated_crypto": {"1.3.6.1.4.1.311.10.3.3"},
    "netscape_server_gated_crypto": {"2.16.840.1.113730.4.1"},
    "ocsp_signing": {"1.3.6.1.5.5.7.3.9"},
    "server_auth": {"1.3.6.1.5.5.7.3.1"},
    "timestamping": {"1.3.6.1.5.5.7.3.8"},
}


@pytest.mark.parametrize("use", USES)
def test_allowed_use_gets_into_the_certificate(use: str) -> None:
    """Guards against a use that the rules accept and the certificate does not carry."""
    needed = ["key_agreement"] if use in ("encipher_only", "decipher_only") else []
    assert used_as(certificate(authority(private_key(), allowedUses=[use, *needed]))) == USES[use]


@pytest.mark.parametrize("name", ["SelfSignedCert", "LocallySignedCert"])
def test_rules_know_every_allowed_use(name: str) -> None:
    """Guards against a use that can be made and that the rules refuse."""
    assert RULES[TOKENS[name]].values["allowedUses[]"] == tuple(USES)


REFUSALS: list[tuple[Callable[[], object], str]] = [
    (
        lambda: generate("RandomPassword", length=3, minLower=2, minUpper=2),
        "length must be at least 4: the sum of the minima",
    ),
    (
        lambda: generate("RandomString", length=3, upper=False, lower=False, numeric=False, special=False),
        "at least one of upper, lower, numeric and special must be true",
    ),
    (
        lambda: generate("RandomPassword", length=3, number=True, numeric=False),
        "number and numeric are both given with different values: number is deprecated, leave it out",
    ),
    (lambda: generate("RandomInteger", min=2, max=1), "min (2) must not be larger than max (1)"),
    (
        lambda: generate("RandomInteger", min=1, max=2, seed="fixed"),
        "seed is not modelled: the value comes from Go's own random number generator",
    ),
    (
        lambda: generate("PrivateKey", algorithm="DSA"),
        "DSA is no key algorithm: it must be RSA, ECDSA or ED25519",
    ),
    (
        lambda: authority(private_key(), subject={}),
        "the subject of a certificate authority must contain at least one distinguished name",
    ),
    (
        lambda: authority(private_key(), isCaCertificate=False, setAuthorityKeyId=True),
        "could not determine the authority key identifier: set setSubjectKeyId too",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_what_the_real_provider_refuses_is_refused(call: Callable[[], object], message: str) -> None:
    """Guards against a resource that exists offline only."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


# --- docker

NGINX = "registry.example:5000/library/nginx:1.29"
NGINX_DIGEST = f"sha256:{hashlib.sha256(NGINX.encode()).hexdigest()}"
PINNED = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("name", "repo_digest"),
    [
        (NGINX, f"registry.example:5000/library/nginx@{NGINX_DIGEST}"),
        (f"registry.example:5000/nginx:1.29@{PINNED}", f"registry.example:5000/nginx@{PINNED}"),
        (f"nginx@{PINNED}", f"nginx@{PINNED}"),
    ],
)
def test_pulled_image(name: str, repo_digest: str) -> None:
    """Guards against a port taken for a tag, and against a pinned digest that changes on the way."""
    image_id = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
    expected = Generated(f"{image_id}{name}", {"imageId": image_id, "repoDigest": repo_digest})
    assert generate("RemoteImage", name=name) == expected


def test_pushed_image_has_a_digest_of_its_name() -> None:
    """Guards against a digest that changes from run to run, which would replace what is deployed."""
    assert generate("RegistryImage", name=NGINX) == Generated(NGINX_DIGEST, {"sha256Digest": NGINX_DIGEST})


def test_pushed_image_changes_with_its_triggers() -> None:
    """Guards against a push of new content that does not show in what is deployed, or a digest by order."""
    triggers = [{}, {"from": "1"}, {"from": "2"}, {"from": "1", "to": "2"}]
    assert len({generate("RegistryImage", name=NGINX, triggers=each).id for each in triggers}) == len(triggers)
    orders = [{"from": "1", "to": "2"}, {"to": "2", "from": "1"}]
    assert len({generate("RegistryImage", name=NGINX, triggers=each).id for each in orders}) == 1


@pytest.mark.parametrize("source", [NGINX, NGINX_DIGEST])
def test_tag_has_the_id_of_its_source(source: str) -> None:
    """Guards against a tag that points to another image than the one that was pulled."""
    pulled = generate("RemoteImage", name=NGINX)
    tag = generate("Tag", sourceImage=source, targetImage="mirror.example/nginx:1.29")
    assert tag == Generated(f"{source}.mirror.example/nginx:1.29", {"sourceImageId": pulled.outputs["imageId"]})


# --- the rule files

# Properties that stand neither in "update" nor in "replace", each with its reason. Changing one is an error.
NOT_MODELLED = {
    ("RemoteImage", "build"): "parts of it replace, others do not; the mirror pulls and never builds",
    ("RegistryImage", "build"): "parts of it replace, others do not; the mirror pulls and never builds",
    ("DnsRecord", "includeShadowMetadata"): "newer than every public version of the schema that could be read",
    ("DnsRecord", "privateRouting"): "newer than every public version of the schema that could be read",
}


def paths(rules: TypeRules) -> set[str]:
    """Return every input that an entry names, except in "update" and "replace"."""
    return {
        *rules.values,
        *rules.references,
        *rules.needs,
        *(name for names in rules.needs.values() for name in names),
        *(name for group in (*rules.exactly_one, *rules.at_most_one) for name in group),
        *((rules.name.property, *rules.name.per) if rules.name else ()),
    }


def probe(path: str) -> dict[str, Any]:
    """Return inputs in which only the property at the path stands, with a value that is not known yet."""
    head, _, rest = path.partition(".")
    value = probe(rest) if rest else UNKNOWN
    return {head.removesuffix("[]"): [value] if head.endswith("[]") else value}


@pytest.mark.parametrize("name", TOKENS)
def test_rules_name_only_what_the_sdk_has(name: str) -> None:
    """Guards against a misspelt type or property, whose rule would never apply."""
    token, rules = TOKENS[name], RULES[TOKENS[name]]
    assert {*rules.update, *rules.replace} <= input_types(token).keys()
    assert rules.outputs.keys() <= output_names(token)
    for path in paths(rules):
        problems = list(type_problems(token, probe(path)))
        assert [problem for problem in problems if not problem.endswith(": must be given")] == []


@pytest.mark.parametrize("name", TOKENS)
def test_rules_cover_every_property_once(name: str) -> None:
    """Guards against a property of which nobody has looked up whether it replaces."""
    rules = RULES[TOKENS[name]]
    excepted = [property_name for type_name, property_name in NOT_MODELLED if type_name == name]
    assert sorted([*rules.update, *rules.replace, *excepted]) == sorted(input_types(TOKENS[name]))


@pytest.mark.parametrize("name", TOKENS)
def test_id_is_either_generated_or_a_template(name: str) -> None:
    """Guards against a generator that is forgotten, and against one that the rules do not know."""
    assert (RULES[TOKENS[name]].id == "{generated}") is (TOKENS[name] in GENERATORS)


def test_every_generator_has_rules() -> None:
    """Guards against a type that can be made and never changed."""
    assert GENERATORS.keys() <= RULES.keys()


CREATIONS: dict[str, Callable[[], Generated]] = {
    **{name: lambda name=name, inputs=inputs: generate(name, **inputs) for name, inputs, *_ in LEAKS},
    "PrivateKey": lambda: generate("PrivateKey", algorithm="ED25519"),
    "CertRequest": lambda: request(private_key()),
    "SelfSignedCert": lambda: authority(private_key()),
    "LocallySignedCert": lambda: sign(request(key := private_key()), authority(key), key),
    "RemoteImage": lambda: generate("RemoteImage", name=NGINX),
    "RegistryImage": lambda: generate("RegistryImage", name=NGINX),
    "Tag": lambda: generate("Tag", sourceImage=NGINX, targetImage=NGINX),
}


@pytest.mark.parametrize("token", GENERATORS)
def test_generators_make_every_output_of_the_sdk(token: str) -> None:
    """Guards against an output that the SDK does not know, or that is missing when a program reads it."""
    outputs = CREATIONS[token.rpartition(":")[2]]().outputs.keys()
    assert outputs <= output_names(token)
    # No library in the requirements makes a bcrypt hash.
    assert output_names(token) - input_types(token).keys() - outputs <= {"bcryptHash"}


@pytest.mark.parametrize("token", RULES)
def test_secret_outputs_are_the_sdk_s(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a secret that stands in the state in the clear, offline or in reality."""
    marked: list[str] = []

    def record(_: object, type_name: str, name: str, _inputs: object, options: pulumi.ResourceOptions) -> None:
        assert (type_name, name) == (token, "name")
        marked.extend(options.additional_secret_outputs or ())

    monkeypatch.setattr(pulumi.CustomResource, "__init__", record)
    package, _, class_name = token.split(":")
    getattr(importlib.import_module(f"pulumi_{package}"), class_name).get("name", id="existing")
    assert sorted(marked) == sorted(SECRET_OUTPUTS.get(token, ()))


@pytest.mark.parametrize(
    ("name", "path", "smallest"),
    [
        ("PrivateKey", "rsaBits", 1024),
        ("RandomPassword", "length", 1),
        ("RandomId", "byteLength", 1),
        ("SelfSignedCert", "maxPathLength", -1),
    ],
)
def test_ranges_have_no_upper_end(name: str, path: str, smallest: int) -> None:
    """Guards against a limit that the vendor does not have."""
    assert RULES[TOKENS[name]].values[path] == Range(minimum=smallest, maximum=float("inf"))
