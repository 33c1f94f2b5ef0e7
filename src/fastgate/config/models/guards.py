"""Policies that guard a route: who asks, what is allowed, how much; loaded when a config uses one."""

from typing import Annotated, Any, Literal

from fastgate.config.models.base import (
    Cidr,
    Duration,
    Flag,
    HeaderName,
    Model,
    Name,
    OneOrMany,
    Rate,
    SecretText,
    Text,
    field,
)
from fastgate.config.models.policies import Policy
from fastgate.config.scalars import choice, duration, whole

Count = Annotated[int, whole(1, 1_000_000_000)]
StoreFailure = Annotated[Literal["local", "open", "closed"], choice("local", "open", "closed")]


class TokenPlaces(Model):
    """Where a token is looked for."""

    header: HeaderName | None = field("The header that carries it.", unset="Authorization", example="Authorization")
    cookie: Text | None = field("A cookie that carries it.", example="session")
    query: Text | None = field("A query parameter that carries it.", example="access_token")


class Jwt(Model):
    """JSON Web Tokens."""

    issuer: Text | None = field("The issuer (iss), compared exactly.", example="https://id.example.com/")
    audience: OneOrMany[Text] = field(
        "The audience (aud) asked for; `any` must be written.", required=True, example="projects"
    )
    jwks: Text | None = field(
        "URL or path of the key set.", unset="discovery from the issuer", example="https://id.example.com/keys"
    )
    keys: list[Any] | None = field("Keys written here.")
    algorithms: list[Text] | None = field("Algorithms accepted.", unset="those that fit the keys", example=["ES256"])
    types: list[Text] | None = field("Values of typ accepted besides JWT and at+jwt.", example=["app+jwt"])
    skew: Annotated[int, duration(0, 60_000)] = field("Difference of clocks that is forgiven.", 30_000)
    max_age: Duration | None = field("The oldest token accepted, by iat.")
    required_claims: Any = field("Claims that must be there.")
    token: TokenPlaces | None = field("Where the token is looked for.")
    headers: dict[HeaderName, Text] = field("Headers written from claims.", {}, example={"x-user": "sub"})
    roles_from: Text | None = field("Path of the claim that lists roles.", example="realm_access.roles")
    scopes_from: Text | None = field("Path of the claim that lists scopes.", example="scope")
    consumer_from: Text | None = field("Path of the claim that names the consumer.", example="azp")
    revocation: Any = field("How revoked tokens are known.")


class ApiKey(Model):
    """API keys."""

    header: HeaderName | None = field("The header that carries the key.", example="X-API-Key")
    query: Text | None = field("The query parameter that carries the key.", example="api_key")
    keys_file: Text | None = field("Path of a file of keys.", example="/etc/fastgate/keys")


class Basic(Model):
    """Basic credentials (RFC 7617)."""

    users_file: Text | None = field("Path of a file of users and password hashes.", example="/etc/fastgate/users")
    realm: Text | None = field("The realm named in WWW-Authenticate.", example="projects")


class Introspection(Model):
    """Token introspection (RFC 7662)."""

    url: Text = field("The introspection endpoint.", required=True, example="https://id.example.com/introspect")
    client_id: Text | None = field("The client this gateway is.", example="gateway")
    client_secret: SecretText | None = field("Its secret, as a reference.", example="env:CLIENT_SECRET")
    max_stale: Duration | None = field("How long an old answer may stand in while the endpoint is down.")


class AuthMethod(Model):
    """One way to prove who one is: exactly one key."""

    jwt: Jwt | None = field("A JSON Web Token.")
    api_key: ApiKey | None = field("An API key.")
    basic: Basic | None = field("Basic credentials.")
    signature: dict[str, Any] | None = field("A signed request.")
    mtls: dict[str, Any] | None = field("A client certificate.")
    introspection: Introspection | None = field("An opaque token.")
    ext_auth: dict[str, Any] | None = field("A service that is asked.")


class Auth(Policy):
    """Who is asking."""

    any_of: list[AuthMethod] = field("Ways to prove it; the first that fits the request counts.", required=True)
    anonymous: Name | None = field("The consumer of requests that show no credential.")
    failures: Rate | None = field("Failed credentials allowed from one address.", unset="30/m", example="30/m")


class Roles(Model):
    """Roles or scopes asked for."""

    any: list[Text] | None = field("At least one of them.", example=["editor", "admin"])
    all: list[Text] | None = field("All of them.", example=["editor"])


class Require(Policy):
    """What the identity must have."""

    roles: Roles | None = field("Roles.")
    scopes: Roles | None = field("Scopes.")
    expression: Text | None = field(
        "An expression over request and claims that must be true.", example='request.method == "GET"'
    )


class Limit(Model):
    """One rate."""

    rate: Rate = field("How many in which time.", required=True)
    burst: Count | None = field("How many at once.")
    per: Text | None = field("What is counted: address, consumer, header:NAME, claim:NAME, route.", example="consumer")
    cost: Any = field("How much a request counts.")
    dry_run: Flag = field("Count and report, let pass.", False)
    calendar: Any = field("Windows that begin with the calendar's.")
    then: Any = field("What happens at the limit.")
    sync: Any = field("How counts are shared between processes.")
    on_store_failure: StoreFailure | None = field("What counts while the store is down.")


class Concurrency(Policy):
    """Requests at the same time."""

    max: Count = field("Requests at once.", required=True)
    queue: Annotated[int, whole(0, 1_000_000)] = field("Requests that may wait.", 0)
    wait: Duration | None = field("How long one may wait.")


class Ip(Policy):
    """Client addresses."""

    allow: list[Cidr] = field("Only these.", [])
    deny: list[Cidr] = field("None of these.", [])
    files: list[Text] = field("Files of further networks.", [], example=["/etc/fastgate/denied.txt"])


class Cors(Policy):
    """Cross-origin requests."""

    origins: list[Text] = field("Origins allowed.", required=True, example=["https://app.example.com"])
    methods: list[Text] | None = field("Methods allowed.", example=["GET", "POST"])
    headers: list[HeaderName] | None = field("Request headers allowed.")
    expose: list[HeaderName] | None = field("Response headers shown to scripts.")
    credentials: Flag = field("Allow cookies and credentials.", False)
    max_age: Duration | None = field("How long a browser may remember the answer.")


class Csrf(Policy):
    """Cross-site request forgery."""

    origins: list[Text] = field("Origins allowed besides the own one.", [], example=["https://app.example.com"])


class SecurityHeaders(Policy):
    """Headers that make browsers stricter."""

    hsts: Any = field("Strict-Transport-Security.")
    csp: Text | None = field("Content-Security-Policy.", example="default-src 'self'")


class Tenant(Policy):
    """The tenant of a request."""

    header: HeaderName = field("The header that names it.", required=True)
    trusted_from: list[Cidr] = field("Peers that may set it.", [])
    must_equal: Text | None = field("The claim it must equal.", example="tenant")
