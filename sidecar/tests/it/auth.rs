//! Common, "Auth": who may do what, and what the others are told.

use super::harness::{ADMIN, Setup};
use super::raw::{Request, get, patch, put};
use super::rows::{row, run};

const READER: &str = "reader-0123456789abcd";
const SET_A: &str = r#"[{"op":"set","key":"a","value":1}]"#;
const CART: &str = "/api/storage?ns=cart";

fn setup() -> Setup {
    let grant = format!(
        r#"{{"token":"{READER}","contracts":["kv","runStore"],"namespaces":["cart","/"],"access":"read"}}"#
    );
    Setup::default().in_memory().token("admin", ADMIN).token("reader", &grant)
}

fn with(request: Request, authorization: &str) -> Request {
    request.header("Authorization", authorization)
}

fn admin(request: Request) -> Request {
    with(request, &format!("Bearer {ADMIN}"))
}

fn reader(request: Request) -> Request {
    with(request, &format!("Bearer {READER}"))
}

#[tokio::test]
async fn every_row_of_401_and_403() {
    let missing = |name, request: Request| {
        row(name).when(request).then(401).header("WWW-Authenticate", "Bearer")
    };
    let invalid = |name, request: Request| {
        let challenge = r#"Bearer error="invalid_token""#;
        row(name).when(request).then(401).header("WWW-Authenticate", challenge)
    };
    let rows = [
        missing("no credentials", get("/")),
        missing("no credentials, a write", put("/", "1")),
        invalid("an empty token", with(get("/"), "Bearer ")),
        invalid("no token", with(get("/"), "Bearer")),
        invalid("an unknown token", with(get("/"), "Bearer nobody-0123456789abcd")),
        invalid("a JWT where none is taken", with(get("/"), "Bearer eyJhbGciOiJub25lIn0.e30.")),
        invalid("another scheme", with(get("/"), "Basic YTpi")),
        invalid("two lines", admin(admin(get("/")))),
        missing("a token in the query does not count", get(&format!("/?access_token={ADMIN}"))),
        row("a token").when(admin(put("/", "1"))).then(200),
        row("the scheme's case does not matter")
            .when(with(put("/", "1"), &format!("bEARER {ADMIN}")))
            .then(200),
        row("the right to read").given(admin(put("/", "1"))).when(reader(get("/"))).then(200),
        row("403: only the right to read").when(reader(put("/", "1"))).then(403),
        row("403: another document").when(reader(get("/run-stores/x"))).then(403),
        row("403: another namespace").when(reader(get("/api/storage?ns=other"))).then(403),
        row("403: another contract").when(reader(get("/runtimes"))).then(403),
        row("the namespace that is granted").when(reader(get(CART))).then(200),
        row("403 comes before the condition and the body")
            .when(reader(Request::new("PATCH", CART)).body("nonsense"))
            .then(403),
        row("401 comes before the condition and the body")
            .when(Request::new("PATCH", CART).body("nonsense"))
            .then(401),
        row("403 comes before the precondition")
            .given(admin(put("/", "1")))
            .when(reader(put("/", "2")).header("If-Match", "\"x\""))
            .then(403)
            .lacks("ETag"),
        row("403 comes before existence").when(reader(super::raw::delete("/"))).then(403),
        row("/health needs none").when(get("/health")).then(200),
        row("an unknown path is 404").when(get("/nowhere")).then(404),
    ];
    run(setup, rows).await;
}

#[tokio::test]
async fn every_row_of_anonymous_read() {
    let rows = [
        row("anonymous reads").given(admin(put("/", "1"))).when(get("/")).then(200),
        row("anonymous reads a namespace").when(get(CART)).then(200),
        row("anonymous does not write").when(put("/", "1")).then(401),
        row("anonymous does not patch").when(patch(CART, "0", SET_A)).then(401),
        row("invalid credentials are 401 even then")
            .when(with(get(CART), "Bearer nobody-0123456789abcd"))
            .then(401),
        row("an empty token is 401 even then").when(with(get(CART), "Bearer ")).then(401),
        row("a token's own limits hold").when(reader(get("/runtimes"))).then(403),
    ];
    run(|| setup().config("auth: {anonymous: read}"), rows).await;
}

#[tokio::test]
async fn settings_are_taken_up_while_running() {
    let server = setup().start().await;
    let old = admin(put("/", "1"));
    let new = with(put("/", "2"), "Bearer rotated-0123456789abcd");
    assert_eq!(server.send(&old).await.status, 200);
    assert_eq!(server.send(&new).await.status, 401);
    let rotated = Setup::default().token("admin", "rotated-0123456789abcd").settings();
    server.reconfigure(rotated);
    assert_eq!(server.send(&old).await.status, 401);
    assert_eq!(server.send(&new).await.status, 200);
}

#[tokio::test]
async fn a_contract_that_is_not_enabled_is_404() {
    let table = [
        ("[kv]", "/", 404),
        ("[kv]", "/run-stores/a", 404),
        ("[kv]", "/runtimes", 404),
        ("[kv]", "/runtimes/a/b/c", 404),
        ("[kv]", CART, 200),
        ("[runStore]", CART, 404),
        ("[runStore]", "/storage?ns=cart", 404),
        ("[runStore]", "/health", 200),
        ("[runtimes]", "/runtimes", 200),
        ("[runtimes]", "/runtimes/a/b", 404),
    ];
    for (contracts, path, status) in table {
        let setup = || Setup::default().in_memory().config(&format!("contracts: {contracts}"));
        let name = "a contract that this Store does not enable";
        run(setup, [row(name).when(get(path)).then(status)]).await;
    }
    let setup = || Setup::default().in_memory().config("contracts: [kv]").token("a", ADMIN);
    let name = "404 also without credentials, and for writes";
    run(setup, [row(name).when(put("/", "1")).then(404)]).await;
}
