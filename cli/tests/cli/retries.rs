//! What the machine stands in the way of is tried again, and keeps nothing else from being done.

use reqwest::StatusCode;

use crate::support::{ADMIN, Place, client, store, store_with_token};

/// A port below those that the system hands out by itself, because another test that asks for any
/// free port could get it, or the next one up, which the Store takes too.
fn port_that_stays_free_once_dropped() -> std::net::TcpListener {
    let bind = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).ok();
    let start = u16::try_from(std::process::id() % 5_000).unwrap();
    let pairs = (0..5_000).map(|step| 20_000 + (start + step) % 5_000 * 2);
    let free = |port: u16| bind(port + 1).and(bind(port));
    pairs.into_iter().find_map(free).expect("two neighbouring free ports")
}

#[tokio::test]
async fn a_store_that_cannot_start_is_tried_again_while_others_serve() {
    let suspended = store_with_token("late", ADMIN) + "  suspend: true\n";
    let place =
        Place::new(&[("demo.yaml", &store_with_token("demo", ADMIN)), ("late.yaml", &suspended)]);
    let taken = port_that_stays_free_once_dropped();
    let flag = format!("late={}", taken.local_addr().unwrap());
    let mut up = place.up(&["demo"], &["--listen", &flag]);
    up.wait_ready().await;

    place.write("late.yaml", &store_with_token("late", ADMIN));
    up.wait_for("the port is in use").await;
    let demo = client().get(up.url("demo")).bearer_auth(ADMIN).send().await.unwrap();
    assert_eq!(demo.status(), StatusCode::NOT_FOUND, "demo serves");
    drop(taken);
    up.stores_are(&["demo", "late"]).await;
}

#[tokio::test]
async fn a_store_that_waits_does_not_wait_for_a_change_that_cannot_be_taken_up() {
    let place = Place::new(&[("demo.yaml", &store_with_token("demo", ADMIN))]);
    place.write("late.yaml", &(store_with_token("late", ADMIN) + "  suspend: true\n"));
    let taken = port_that_stays_free_once_dropped();
    let flag = format!("late={}", taken.local_addr().unwrap());
    let mut up = place.up(&["demo"], &["--listen", &flag]);
    up.wait_ready().await;
    place.write("late.yaml", &store_with_token("late", ADMIN));
    up.wait_for("the port is in use").await;

    // The token that is to be made for this one stands there already, and is none.
    let other = place.data().join("tokens/other");
    std::fs::create_dir_all(other.parent().unwrap()).unwrap();
    std::fs::write(&other, "short").unwrap();
    place.write("other.yaml", &store("other", "  suspend: false\n"));
    up.wait_for("cannot be taken up: nothing was changed; trying again").await;
    drop(taken);
    up.stores_are(&["demo", "late"]).await;

    place.write("other.yaml", &store("other", "  suspend: true\n"));
    up.wait_for("manifests changed: taken up").await;
    let said = up.output().matches("does not hold a token").count();
    assert_eq!(said, 1, "what is tried again is told of once:\n{}", up.output());
}
