//! What one resource says of another.

use crate::support::{NAMESPACE, SOURCE, STORE, expect};

#[test]
fn references_lead_somewhere() {
    expect(
        "no such Store",
        &format!("{SOURCE}{NAMESPACE}"),
        &[
            (
                "8:38: spec.branches[0].storeRef.name",
                "there is no Store demo in the namespace default: add it to the manifests",
            ),
            ("14:14: spec.storeRef.name", "there is no Store demo in the namespace default"),
        ],
    );
    expect(
        "a Store that may stand in what cannot be read",
        &format!("{}{SOURCE}{NAMESPACE}", STORE.replace("kind: Store", "kind: Stroe")),
        &[("2:1: kind", "did you mean Store?")],
    );
    expect(
        "a Store whose name is near",
        &format!("{}{NAMESPACE}", STORE.replace("demo", "deno")),
        &[("11:14: spec.storeRef.name", "did you mean deno?")],
    );
    expect(
        "a Store in another namespace",
        &format!("{}{NAMESPACE}", STORE.replace("name: demo", "name: demo, namespace: team")),
        &[("11:14: spec.storeRef.name", "one stands in the namespace team, which cannot be")],
    );
    expect(
        "a Store that is itself not in order is no second problem",
        &format!("{}{NAMESPACE}", STORE.replace("1Gi", "x")),
        &[("5:22: spec.backend.volume.size", "it is not a size")],
    );
    expect(
        "contracts that the Store does not serve",
        &format!("{STORE}  contracts: [runStore]\n{SOURCE}{NAMESPACE}"),
        &[
            ("14:38: spec.branches[0].storeRef.name", "does not serve the contract runtimes: add"),
            ("20:14: spec.storeRef.name", "does not serve the contract kv: add kv to its spec"),
        ],
    );
    expect(
        "the same name twice",
        &format!("{STORE}---\n{STORE}"),
        &[("9:12: metadata.name", "there is a Store of this name already, at ")],
    );
    expect(
        "one branch published twice",
        &format!("{STORE}{SOURCE}{}", SOURCE.replace("name: etl", "name: other")),
        &[(
            "21:15: spec.branches[0].name",
            "the branch main of the repository etl goes into the Store demo already, by the source \
             etl at ",
        )],
    );
    expect(
        "a glob that is none",
        &format!("{STORE}{SOURCE}  include: ['**/*.yaml', 'a[']\n"),
        &[("14:26: spec.include[1]", "it is not a glob (")],
    );
}
