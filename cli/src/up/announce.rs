//! What a person reads first: what is served where, and what to paste next. Pure text.

use std::fmt::Write;

use stowage_config::Contract;

use super::addresses::{self, Place};
use super::plan::{Credentials, Plan, StorePlan};

/// A Store as it is shown.
pub(crate) struct Shown<'a> {
    /// What was asked for.
    pub(crate) store: &'a StorePlan,
    /// Where it is served; `None` where it is not.
    pub(crate) place: Option<Place>,
    /// The token that was made for it.
    pub(crate) made: Option<&'a str>,
}

/// The whole first screen.
pub(crate) fn screen(plan: &Plan, stores: &[Shown<'_>], data: &str) -> String {
    let mut out = format!("Stowage {} serves from {data}\n\n", env!("CARGO_PKG_VERSION"));
    out += &table(&store_rows(stores));
    let namespaces = namespace_rows(stores, data);
    if namespaces.len() > 1 {
        out.push('\n');
        out += &table(&namespaces);
    }
    if !plan.branches.is_empty() {
        out.push('\n');
        out += &table(&source_rows(plan));
    }
    out.push('\n');
    out + &paste(stores)
}

/// What to paste for some Stores: how to reach each, and one request for each contract.
pub(crate) fn paste(stores: &[Shown<'_>]) -> String {
    let mut out = String::new();
    let mut shown: Vec<Contract> = Vec::new();
    for Shown { store, place, made } in stores {
        let Some(place) = place else { continue };
        let url = addresses::url(place.main);
        let _ = writeln!(out, "# Store {}", store.name);
        let header = match (&store.credentials, made) {
            (Credentials::Secret { name, origin, tokens, command }, _) => {
                let names: Vec<&str> = tokens.iter().map(|(name, _)| name.as_str()).collect();
                let first = names.first().copied().unwrap_or_default();
                let _ = writeln!(
                    out,
                    "# its tokens are in Secret {name} ({origin}): {}",
                    names.join(", ")
                );
                let token = match command {
                    Some(command) => format!("\"$({command})\""),
                    None => format!("'the value of {first} there'"),
                };
                let _ = writeln!(out, "export STOWAGE_URL={url} STOWAGE_TOKEN={token}");
                BEARER
            }
            (Credentials::Made, Some(token)) => {
                let _ = writeln!(out, "export STOWAGE_URL={url} STOWAGE_TOKEN={token}");
                BEARER
            }
            (Credentials::Made, None) | (Credentials::Nobody, _) => {
                let _ = writeln!(out, "# everyone who can reach it may read and write");
                let _ = writeln!(out, "export STOWAGE_URL={url}");
                ""
            }
        };
        for contract in &store.config.contracts {
            if !shown.contains(contract) {
                shown.push(*contract);
                let _ = writeln!(out, "curl -i {header}{}", request(*contract));
            }
        }
        out.push('\n');
    }
    out
}

const BEARER: &str = "-H \"Authorization: Bearer $STOWAGE_TOKEN\" ";

fn request(contract: Contract) -> &'static str {
    match contract {
        Contract::RunStore => {
            "-X PUT \"$STOWAGE_URL/run-stores/hello\" -H 'If-None-Match: *' -d '{\"step\":1}' \
             -H 'Content-Type: application/json'"
        }
        Contract::Kv => {
            "-X PATCH \"$STOWAGE_URL/api/storage?ns=cart\" -H 'If-Match: *' \
             -H 'X-Thesara-App-Id: shell' -H 'Content-Type: application/json' \
             -d '[{\"op\":\"set\",\"key\":\"apples\",\"value\":3}]'"
        }
        Contract::Jobs => {
            "-X PUT \"$STOWAGE_URL/jobs/hello\" -H 'Content-Type: application/json' \
             -d '{\"id\":\"hello\",\"startedAt\":1700000000000}'"
        }
        Contract::Runtimes => "\"$STOWAGE_URL/runtimes\"",
        Contract::Artifacts => "\"$STOWAGE_URL/sites/blog/versions?all=true\"",
    }
}

type Row = Vec<String>;

fn row<const N: usize>(cells: [&str; N]) -> Row {
    cells.map(str::to_owned).to_vec()
}

fn contracts(store: &StorePlan) -> String {
    store.config.contracts.iter().map(|c| c.as_str()).collect::<Vec<_>>().join(", ")
}

fn store_rows(stores: &[Shown<'_>]) -> Vec<Row> {
    let rows = stores.iter().map(|Shown { store, place, .. }| match place {
        Some(place) => row([
            &store.name,
            &addresses::url(place.main),
            &format!("{}/readyz", addresses::url(place.management)),
            &contracts(store),
        ]),
        None => row([
            &store.name,
            if store.suspended { "suspended" } else { "not served" },
            "-",
            &contracts(store),
        ]),
    });
    std::iter::once(row(["STORE", "URL", "HEALTH", "CONTRACTS"])).chain(rows).collect()
}

fn namespace_rows(stores: &[Shown<'_>], data: &str) -> Vec<Row> {
    let rows = stores.iter().flat_map(|shown| {
        shown.store.namespaces.iter().map(move |namespace| {
            row([
                &namespace.name,
                &shown.store.name,
                Contract::from(namespace.contract).as_str(),
                &format!("{data}/bindings/{}/", namespace.name),
            ])
        })
    });
    std::iter::once(row(["NAMESPACE", "STORE", "CONTRACT", "CREDENTIALS"])).chain(rows).collect()
}

fn source_rows(plan: &Plan) -> Vec<Row> {
    let rows = plan.branches.iter().map(|(key, branch)| {
        row([
            &format!("{}/{}", key.source, key.branch),
            &key.store,
            branch.environment.as_deref().unwrap_or("-"),
            &format!("{}s", branch.interval.as_secs()),
            &branch.config.url,
        ])
    });
    std::iter::once(row(["SOURCE", "STORE", "ENVIRONMENT", "EVERY", "FROM"])).chain(rows).collect()
}

/// Columns as wide as their widest cell, two spaces apart, nothing after the last.
fn table(rows: &[Row]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(column) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        out += cells.collect::<Vec<_>>().join("  ").trim_end();
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use stowage_config::{Token, TokenGrant};

    use super::super::examples;
    use super::*;

    fn store(name: &str, credentials: Credentials) -> StorePlan {
        StorePlan { credentials, ..examples::store(name, &[]) }
    }

    fn place() -> Option<Place> {
        Some(Place {
            main: "127.0.0.1:8080".parse().unwrap(),
            management: "127.0.0.1:8081".parse().unwrap(),
        })
    }

    #[test]
    fn the_table_says_where_each_store_is_or_why_it_is_not() {
        let up = store("demo", Credentials::Made);
        let mut down = store("lake", Credentials::Made);
        down.suspended = true;
        let shown = [
            Shown { store: &up, place: place(), made: Some("made-token") },
            Shown { store: &down, place: None, made: None },
        ];
        let screen = screen(&Plan::default(), &shown, ".stowage");
        for line in [
            "STORE  URL                    HEALTH                        CONTRACTS",
            "demo   http://127.0.0.1:8080  http://127.0.0.1:8081/readyz  runStore, kv, jobs, runtimes, artifacts",
            "lake   suspended              -                             runStore, kv, jobs, runtimes, artifacts",
            "export STOWAGE_URL=http://127.0.0.1:8080 STOWAGE_TOKEN=made-token",
        ] {
            assert!(screen.lines().any(|l| l == line), "no line {line:?} in\n{screen}");
        }
        for path in ["/run-stores/", "/api/storage?ns=", "/runtimes\"", "/sites/"] {
            assert_eq!(screen.matches(path).count(), 1, "one request for {path} in\n{screen}");
        }
    }

    #[test]
    fn a_secrets_token_is_named_and_never_shown() {
        let token = Token { value: "secret-0123456789".to_owned(), grant: TokenGrant::default() };
        for (command, export) in [
            (None, "STOWAGE_TOKEN='the value of admin there'"),
            (Some("sed x 'store.yaml'"), "STOWAGE_TOKEN=\"$(sed x 'store.yaml')\""),
        ] {
            let credentials = Credentials::Secret {
                name: "demo-tokens".to_owned(),
                origin: "store.yaml:1".to_owned(),
                tokens: vec![("admin".to_owned(), token.clone())],
                command: command.map(str::to_owned),
            };
            let store = store("demo", credentials);
            let text = paste(&[Shown { store: &store, place: place(), made: None }]);
            assert!(text.contains("Secret demo-tokens (store.yaml:1): admin"), "{text}");
            assert!(text.contains(export), "{text}");
            assert!(!text.contains("secret-0123456789"), "{text}");
        }
    }
}
