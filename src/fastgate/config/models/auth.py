"""How clients prove who they are; loaded when a config uses it."""

from typing import Annotated, Any, Literal

from fastgate.config.models.base import (
    Duration,
    Flag,
    HeaderName,
    Model,
    Name,
    OneOrMany,
    Rare,
    Rate,
    SecretText,
    Text,
    TextOrMap,
    field,
)
from fastgate.config.models.policies import Policy
from fastgate.config.scalars import choice, duration

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
)  # fmt: skip
Algorithm = Annotated[str, choice(*ALGORITHMS)]
CertificateName = Annotated[str, choice("spiffe", "dns", "email", "subject")]
CertificatePart = Annotated[str, choice("spiffe", "dns", "email", "subject", "fingerprint")]
RevokedIn = Annotated[Literal["process", "store"], choice("process", "store")]


class TokenPlaces(Model):
    """Where a token is looked for."""

    header: HeaderName | None = field("The header that carries it.", unset="Authorization", example="Authorization")
    cookie: Text | None = field("A cookie that carries it.", example="session")
    query: Text | None = field("A query parameter that carries it.", example="access_token")


class JwtKey(Model):
    """A key that verifies tokens: a public JWK (RFC 7517), or a secret."""

    secret: SecretText | None = field("A secret for HMAC of at least 32 bytes.", example="env:JWT_SECRET")
    kid: Text | None = field("The key's name, as tokens say it.", example="2027-01")
    alg: Algorithm | None = field("The one algorithm it is for.", unset="those that fit it")
    use: Text | None = field("What it is for: sig.", example="sig")
    key_ops: list[Text] | None = field("What it may do: verify.", example=["verify"])
    kty: Text | None = field("Its type: RSA, EC or OKP.", example="EC")
    crv: Text | None = field("Its curve.", example="P-256")
    x: Text | None = field("A coordinate.", example="f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")
    y: Text | None = field("A coordinate.", example="x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")
    n: Text | None = field("An RSA modulus.")
    e: Text | None = field("An RSA exponent.", example="AQAB")


class Jwt(Model):
    """JSON Web Tokens."""

    issuer: Text | None = field("The issuer (iss), compared exactly.", example="https://id.example.com/")
    audience: OneOrMany[Text] = field(
        "The audience (aud) asked for; `any` must be written.", required=True, example="projects"
    )
    jwks: Text | None = field(
        "URL or path of the key set.", unset="discovery from the issuer", example="https://id.example.com/keys"
    )
    keys: list[TextOrMap[Text, JwtKey]] | None = field("Keys written here: PEM public keys, JWKs, secrets.")
    algorithms: list[Algorithm] | None = field(
        "Algorithms accepted.", unset="those that fit the keys", example=["ES256"]
    )
    types: list[Text] = field("Values of typ accepted besides none, JWT and at+jwt.", [], example=["app+jwt"])
    skew: Annotated[int, duration(0, 60_000)] = field("Difference of clocks that is forgiven.", 30_000)
    max_age: Duration | None = field("The oldest token accepted, by iat; without it a token must have exp.")
    required_claims: list[Text] = field("Claims that must be there.", [], example=["sub"])
    token: TokenPlaces | None = field("Where the token is looked for.", unset="Authorization: Bearer")
    headers: dict[HeaderName, Text] = field("Headers written from claims.", {}, example={"x-user": "sub"})
    roles_from: Text = field("Path of the claim that lists roles.", "roles", example="realm_access.roles")
    scopes_from: Text = field("Path of the claim that lists scopes.", "scope", example="scope")
    groups_from: Text = field("Path of the claim that lists groups.", "groups", example="groups")
    consumer_from: Text | None = field("Path of the claim that names the consumer.", example="azp")
    revocation: RevokedIn | None = field(
        "Where revoked tokens are known: in this process, or in the store too.", unset="tokens are not revoked"
    )


class ApiKey(Model):
    """API keys."""

    header: HeaderName | None = field(
        "The header that carries the key.", unset="X-API-Key, unless there is a query", example="X-API-Key"
    )
    query: Text | None = field("The query parameter that carries the key.", example="api_key")
    keys_file: Text | None = field("Path of a file of keys.", example="/etc/fastgate/keys")


class Basic(Model):
    """Basic credentials (RFC 7617)."""

    users_file: Text = field(
        "Path of a file of users and password hashes.", required=True, example="/etc/fastgate/users"
    )
    realm: Text | None = field("The realm named in WWW-Authenticate.", unset="gateway", example="projects")


class Introspection(Model):
    """Token introspection (RFC 7662)."""

    url: Text = field("The introspection endpoint.", required=True, example="https://id.example.com/introspect")
    client_id: Text | None = field("The client this gateway is.", example="gateway")
    client_secret: SecretText | None = field("Its secret, as a reference.", example="env:CLIENT_SECRET")
    token: TokenPlaces | None = field("Where the token is looked for.", unset="Authorization, behind Bearer")
    timeout: Annotated[int, duration(1, 60_000)] = field("Until an answer is there; 503 beyond it.", 5_000)
    max_stale: Duration | None = field("How long an old answer may stand in while the endpoint is down.")
    allow_private: Flag = field("The endpoint may have an address of a private network.", False)
    ca: Text | None = field(
        "Path of the authorities to trust (PEM).", unset="the system's", example="/etc/fastgate/id-ca.pem"
    )


class ExtAuth(Model):
    """A service that is asked whether a request may pass."""

    url: Text = field("Where it is asked, with GET.", required=True, example="http://127.0.0.1:9100/check")
    send: list[HeaderName] = field("Request headers that it is sent.", [], example=["Cookie", "Authorization"])
    take: list[HeaderName] = field("Headers of its answer that the target gets.", [], example=["X-User"])
    subject_from: HeaderName | None = field("The header of its answer that names the subject.", example="X-User")
    set_cookie: Flag = field("Set-Cookie of its refusal reaches the client.", False)
    timeout: Annotated[int, duration(1, 60_000)] = field("Until an answer is there; 503 beyond it.", 500)
    ca: Text | None = field(
        "Path of the authorities to trust (PEM).", unset="the system's", example="/etc/fastgate/auth-ca.pem"
    )


class Mtls(Model):
    """The client certificate of the connection, verified by its listener."""

    identity: OneOrMany[CertificateName] | None = field(
        "What becomes the subject: the first of these that the certificate has.",
        unset="spiffe, dns, email, subject",
        example="spiffe",
    )
    headers: dict[HeaderName, CertificatePart] = field(
        "Headers written from what the certificate says.", {}, example={"x-client": "spiffe"}
    )


class AuthMethod(Model):
    """One way to prove who one is: exactly one key."""

    jwt: Jwt | None = field("A JSON Web Token.")
    api_key: ApiKey | None = field("An API key.")
    basic: Basic | None = field("Basic credentials.")
    signature: Annotated[Any, Rare("signature", "Signature")] | None = field("A signed request.")
    mtls: Mtls | None = field("A client certificate.")
    introspection: Introspection | None = field("An opaque token.")
    ext_auth: ExtAuth | None = field("A service that is asked.")


class Auth(Policy):
    """Who is asking."""

    any_of: list[AuthMethod] = field("Ways to prove it; the first that fits the request counts.", required=True)
    anonymous: Name | None = field("The consumer of requests that show no credential.")
    failures: Rate | None = field("Failed credentials allowed from one address.", unset="30/m", example="30/m")
