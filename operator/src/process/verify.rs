//! `verify`: what `helm test` asks of an installation.

use std::io::Write;
use std::time::Duration;

use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use stowage_crds::{RuntimeConfigSource, Store, StoreNamespace};

use super::arguments::VerifyOptions;
use crate::kubernetes::{Child, in_words};

const PATIENCE: Duration = Duration::from_secs(10);

/// Something does not hold.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The operator does not answer, or says that it is not ready.
    #[error("the operator at {url} is not ready: {reason}; look at its log")]
    NotReady {
        /// Where it was asked.
        url: String,
        /// What came back.
        reason: String,
    },
    /// The cluster cannot be asked.
    #[error("no cluster: {0}")]
    NoCluster(String),
    /// A kind is not served.
    #[error(
        "the API server does not serve {kind}: {reason}; install the chart with crds.install=true"
    )]
    NotServed {
        /// The kind.
        kind: String,
        /// What the API server says.
        reason: String,
    },
    /// A right Store is refused.
    #[error(
        "the API server refuses a Store that is right: {0}; the definitions are of another version"
    )]
    RightRefused(String),
    /// A wrong Store is taken.
    #[error(
        "the API server takes a Store without a backend; the definitions are of another version"
    )]
    WrongTaken,
    /// Nobody reads what is printed.
    #[error("the result cannot be printed: {0}")]
    Output(#[from] std::io::Error),
}

/// Checks an installation and prints a line for each check to `out`.
///
/// # Errors
/// The first [`VerifyError`].
pub async fn verify(options: &VerifyOptions, out: &mut impl Write) -> Result<(), VerifyError> {
    let client = Client::try_default().await.map_err(|e| VerifyError::NoCluster(e.to_string()))?;
    operator_is_ready(&options.url).await?;
    writeln!(out, "ok  the operator answers and is ready")?;
    served::<Store>(&client).await?;
    served::<StoreNamespace>(&client).await?;
    served::<RuntimeConfigSource>(&client).await?;
    writeln!(out, "ok  the API server serves Store, StoreNamespace and RuntimeConfigSource")?;
    rules_hold(&client).await?;
    writeln!(out, "ok  a right Store is taken and a wrong one refused (nothing was made)")?;
    Ok(())
}

async fn operator_is_ready(url: &str) -> Result<(), VerifyError> {
    let probe = format!("{}/readyz", url.trim_end_matches('/'));
    let not_ready = |reason: String| VerifyError::NotReady { url: url.to_owned(), reason };
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .build()
        .map_err(|e| not_ready(e.to_string()))?;
    let answer = client.get(probe).send().await.map_err(|e| not_ready(e.to_string()))?;
    if answer.status().is_success() {
        return Ok(());
    }
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    Err(not_ready(format!("{status} {}", text.trim())))
}

async fn served<K: Child>(client: &Client) -> Result<(), VerifyError> {
    let api: Api<K> = Api::default_namespaced(client.clone());
    api.list_metadata(&ListParams::default().limit(1)).await.map(|_| ()).map_err(|e| {
        VerifyError::NotServed { kind: K::kind(&()).into_owned(), reason: in_words(&e) }
    })
}

/// By dry runs: the API server checks everything and keeps nothing.
async fn rules_hold(client: &Client) -> Result<(), VerifyError> {
    let api: Api<kube::api::DynamicObject> =
        Api::default_namespaced_with(client.clone(), &kube::api::ApiResource::erase::<Store>(&()));
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let store = |backend: serde_json::Value| {
        let mut store = kube::api::DynamicObject::new(
            "stowage-verify",
            &kube::api::ApiResource::erase::<Store>(&()),
        );
        store.data = json!({"spec": {"backend": backend}});
        store
    };
    match api.create(&dry, &store(json!({"volume": {"size": "1Gi"}}))).await {
        Ok(_) => {}
        // One of that name is there, so a right one was taken before.
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => return Err(VerifyError::RightRefused(in_words(&error))),
    }
    match api.create(&dry, &store(json!({}))).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 422) => Ok(()),
        Err(error) => Err(VerifyError::RightRefused(in_words(&error))),
        Ok(_) => Err(VerifyError::WrongTaken),
    }
}
