//! What cannot change of a StoreNamespace, as on a cluster; and what goes with one that is deleted.

use reqwest::StatusCode;

use super::refuses::refused;
use super::support::{ADMIN, OTHER, Place, Up, client, eventually, store_with_token};

const ALONE: &[&str] = &["--listen", "127.0.0.1:0"];

/// A Store, and its StoreNamespace `cart`.
fn manifests(contract: &str, generation: u32) -> String {
    store_with_token("demo", ADMIN) + &tenant(contract, generation)
}

fn tenant(contract: &str, generation: u32) -> String {
    format!(
        "---\napiVersion: stowage.dev/v1alpha1\nkind: StoreNamespace\nmetadata: {{name: cart}}\n\
         spec:\n  storeRef: {{name: demo}}\n  contract: {contract}\n  \
         tokenGeneration: {generation}\n"
    )
}

fn suspended(manifests: &str) -> String {
    let suspend = "auth: {tokensSecretRef: {name: demo-tokens}}";
    manifests.replace(suspend, &format!("{suspend}\n  suspend: true"))
}

fn token(place: &Place) -> Option<String> {
    std::fs::read_to_string(place.data().join("bindings/cart/token")).ok()
}

async fn is_good(place: &Place, up: &Up, path: &str) -> bool {
    let (Some(token), Some(table)) = (token(place), up.ready_table()) else { return false };
    let Some(url) = table["stores"]["demo"]["url"].as_str() else { return false };
    let answer = client().get(format!("{url}{path}")).bearer_auth(token).send().await;
    answer.is_ok_and(|it| [StatusCode::OK, StatusCode::NOT_FOUND].contains(&it.status()))
}

async fn becomes_good(place: &Place, up: &Up, path: &str) {
    eventually(&format!("the token is good for {path}"), || async {
        is_good(place, up, path).await.then_some(())
    })
    .await;
}

/// What is refused, the last lines of which are those of `cart`; of those, the one that is named, and
/// what is said of it.
fn changes() -> [(String, &'static str, &'static str); 6] {
    let [before, other] = [manifests("kv", 2), store_with_token("other", OTHER)];
    [
        (
            manifests("kv", 1),
            "  tokenGeneration: 1",
            "spec.tokenGeneration: tokenGeneration only grows: a smaller number would make revoked \
             tokens good again; write 2 or more",
        ),
        (
            manifests("runStore", 2),
            "  contract: runStore",
            "spec.contract: contract cannot change: write kv again, or take the resource out, and \
             put it back as another one once that has been taken up",
        ),
        (
            before.clone() + "  name: basket\n",
            "  name: basket",
            "spec.name: name cannot change: write cart again, or take the resource out, and put it \
             back as another one once that has been taken up",
        ),
        (
            other.clone()
                + "  suspend: true\n"
                + &before.replace("storeRef: {name: demo}", ELSEWHERE),
            "  storeRef: {name: other}",
            "spec.storeRef.name: storeRef cannot change: write demo again, or take the resource \
             out, and put it back as another one once that has been taken up",
        ),
        (
            other
                + "  suspend: true\n"
                + &tenant("kv", 2).replace("storeRef: {name: demo}", ELSEWHERE),
            "  storeRef: {name: other}",
            "spec.storeRef.name: storeRef cannot change: write demo again, or take the resource \
             out, and put it back as another one once that has been taken up",
        ),
        (
            before.replace("size: 1Gi", "size: 1000Mi"),
            "  backend: {volume: {size: 1000Mi}}",
            "spec.backend.volume.size: a volume cannot shrink: write the old size (1Gi) or more, \
             or make a smaller Store and copy the data into it",
        ),
    ]
}

const ELSEWHERE: &str = "storeRef: {name: other}";

/// The place of a line in a manifest, as a problem of it names that.
fn place_of(line: &str, text: &str) -> String {
    let at = text.lines().position(|it| it == line).expect("the line is there") + 1;
    format!("demo.yaml:{at}:")
}

#[tokio::test]
async fn what_a_cluster_refuses_is_reported_and_changes_nothing() {
    let place = Place::new(&[("demo.yaml", &manifests("kv", 2))]);
    let up = place.ready(&["demo"]).await;
    let first = token(&place).expect("a token");
    for (text, line, expected) in changes() {
        let before = up.output();
        place.write("demo.yaml", &text);
        up.wait_for_another("manifests changed", &before).await;
        let said = up.output()[before.len()..].to_owned();
        let at = place_of(line, &text);
        let fits = |it: &str| it.contains(&at) && it.contains(expected);
        assert!(said.lines().any(fits), "no {expected:?} at {at} in {said}");
        assert!(said.contains("nothing was changed"), "{said}");
        assert_eq!(token(&place).as_ref(), Some(&first), "the same token");
        assert!(is_good(&place, &up, "/api/storage?ns=cart").await, "which is good");
    }
    place.write("demo.yaml", &manifests("kv", 3));
    eventually("a greater generation is taken up", || async {
        token(&place).filter(|now| *now != first)
    })
    .await;
    becomes_good(&place, &up, "/api/storage?ns=cart").await;
}

#[tokio::test]
async fn what_a_cluster_refuses_is_refused_at_the_next_start() {
    let place = Place::new(&[("demo.yaml", &manifests("kv", 2))]);
    assert!(place.ready(&["demo"]).await.stop().await.success());
    let first = token(&place).expect("a token");
    for (text, line, expected) in changes() {
        for text in [suspended(&text), text] {
            place.write("demo.yaml", &text);
            let (code, stderr) = refused(&place, ALONE).await;
            assert_eq!(code, 64, "{stderr}");
            let at = place_of(line, &text);
            let fits = |it: &str| it.contains(&at) && it.contains(expected);
            assert!(stderr.lines().any(fits), "no {expected:?} at {at} in {stderr}");
            assert_eq!(token(&place).as_ref(), Some(&first), "nothing was changed");
        }
    }
    place.write("demo.yaml", &manifests("kv", 2));
    let up = place.ready(&["demo"]).await;
    assert!(is_good(&place, &up, "/api/storage?ns=cart").await, "and goes on as it was");
}

#[tokio::test]
async fn a_generation_of_a_suspended_store_counts() {
    let place = Place::new(&[("demo.yaml", &manifests("kv", 2))]);
    let up = place.ready(&["demo"]).await;
    for text in [suspended(&manifests("kv", 3)), manifests("kv", 3)] {
        let before = up.output();
        place.write("demo.yaml", &text);
        up.wait_for_another("manifests changed: taken up", &before).await;
    }
    let before = up.output();
    place.write("demo.yaml", &manifests("kv", 2));
    up.wait_for_another("write 3 or more", &before).await;
}

#[tokio::test]
async fn one_that_comes_back_is_another_one_and_may_be_of_any_kind() {
    let place = Place::new(&[("demo.yaml", &manifests("kv", 2))]);
    let up = place.ready(&["demo"]).await;
    let taken_up = async |text: &str| {
        let before = up.output();
        place.write("demo.yaml", text);
        up.wait_for_another("manifests changed: taken up", &before).await;
    };
    let without = store_with_token("demo", ADMIN);
    taken_up(&without).await;
    taken_up(&manifests("runStore", 0)).await;
    becomes_good(&place, &up, "/run-stores/cart").await;
    taken_up(&suspended(&without)).await;
    taken_up(&suspended(&manifests("kv", 0))).await;
    taken_up(&manifests("kv", 0)).await;
    becomes_good(&place, &up, "/api/storage?ns=cart").await;
    // With its Store, whose data stays.
    let before = up.output();
    place.write("other.yaml", &(store_with_token("other", ADMIN) + "  suspend: true\n"));
    up.wait_for_another("manifests changed: taken up", &before).await;
    let before = up.output();
    place.remove("demo.yaml");
    up.wait_for_another("manifests changed: taken up", &before).await;
    taken_up(&manifests("runStore", 0)).await;
    becomes_good(&place, &up, "/run-stores/cart").await;
}

#[tokio::test]
async fn the_binding_of_one_that_went_while_nothing_ran_goes_at_the_next_start() {
    let place = Place::new(&[("demo.yaml", &manifests("kv", 2))]);
    assert!(place.ready(&["demo"]).await.stop().await.success());
    let bindings = place.data().join("bindings");
    std::fs::create_dir(bindings.join("mine")).unwrap();
    for file in ["mine/token", "mine/type", "cart/notes.txt"] {
        std::fs::write(bindings.join(file), "stowage").unwrap();
    }
    place.write("demo.yaml", &store_with_token("demo", ADMIN));
    assert!(place.ready(&["demo"]).await.stop().await.success());
    let left = |directory: &str| {
        let entries = std::fs::read_dir(bindings.join(directory)).unwrap();
        let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(left("cart"), ["notes.txt"], "what it wrote itself is gone, and nothing else");
    assert_eq!(left("mine"), ["token", "type"], "no StoreNamespace of that name was ever there");

    std::fs::remove_file(bindings.join("cart/notes.txt")).unwrap();
    place.write("demo.yaml", &manifests("runStore", 0));
    let up = place.ready(&["demo"]).await;
    assert!(is_good(&place, &up, "/run-stores/cart").await, "one that comes back is another one");
    assert!(up.stop().await.success());
    place.write("demo.yaml", &store_with_token("other", ADMIN));
    assert!(place.ready(&["other"]).await.stop().await.success());
    assert!(!bindings.join("cart").exists(), "also where its Store went with it");
}

#[tokio::test]
async fn one_that_comes_back_with_its_store_or_while_that_rests_has_other_tokens() {
    let all = manifests("kv", 0);
    let place = Place::new(&[("demo.yaml", &all)]);
    place.write("other.yaml", &(store_with_token("other", ADMIN) + "  suspend: true\n"));
    let up = place.ready(&["demo"]).await;
    let without = suspended(&store_with_token("demo", ADMIN));
    for (case, gone) in [("while its Store rests", Some(without)), ("with its Store", None)] {
        let first = token(&place).expect("a token");
        let before = up.output();
        match gone {
            Some(gone) => place.write("demo.yaml", &gone),
            None => place.remove("demo.yaml"),
        }
        up.wait_for_another("manifests changed: taken up", &before).await;
        let before = up.output();
        place.write("demo.yaml", &all);
        up.wait_for_another("manifests changed: taken up", &before).await;
        becomes_good(&place, &up, "/api/storage?ns=cart").await;
        let url = format!("{}/api/storage?ns=cart", up.url("demo"));
        let answer = client().get(url).bearer_auth(&first).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{case}: the token of the first one");
    }
}
