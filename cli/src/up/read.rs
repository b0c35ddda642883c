//! From manifests to a [`Plan`], with what only this command refuses: names that cannot stand
//! side by side in one directory.

mod branch;
mod store;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use kube::ResourceExt;

use super::addresses;
use super::data_dir::RESERVED;
use super::plan::{BranchKey, Origins, Plan};
use crate::args::UpArgs;
use crate::exit::Failure;
use crate::manifests::{self, Located, Manifests, Origin, Problem, Problems};

/// What a start needs.
pub(crate) struct First {
    pub(crate) plan: Plan,
    /// The addresses given by flags.
    pub(crate) chosen: BTreeMap<String, SocketAddr>,
}

/// Reads the manifests for a start: there must be a Store, and the flags must fit.
///
/// # Errors
/// [`Failure::Input`] with everything that is wrong.
pub(crate) fn first_plan(args: &UpArgs) -> Result<First, Failure> {
    let plan = plan(args)?;
    if plan.stores.is_empty() {
        return Err(Failure::Input(
            "there is no Store in the manifests, so there is nothing to serve; add one".to_owned(),
        ));
    }
    let chosen = addresses::chosen(&args.listen, &plan.store_names())?;
    addresses::assign(&plan.store_names(), &chosen, &BTreeMap::new())?;
    Ok(First { plan, chosen })
}

/// Reads the manifests.
///
/// # Errors
/// [`Failure::Input`] with every problem.
pub(crate) fn plan(args: &UpArgs) -> Result<Plan, Failure> {
    let data = std::path::absolute(&args.data).map_err(|e| {
        Failure::Environment(format!("cannot find the directory that this runs in: {e}"))
    })?;
    let read = manifests::load(&args.files);
    read.and_then(|read| compile(&read, &data, args.insecure_no_auth))
        .map_err(|problems| Failure::Input(describe(&problems)))
}

/// All problems, for a person.
pub(crate) fn describe(problems: &Problems) -> String {
    let count = problems.iter().count();
    let plural = if count == 1 { "" } else { "s" };
    format!("the manifests have {count} problem{plural}:\n{problems}")
}

fn compile(read: &Manifests, data: &Path, insecure: bool) -> Result<Plan, Problems> {
    let mut problems = name_problems(read);
    let origins = Origins { stores: origins(&read.stores), namespaces: origins(&read.namespaces) };
    let mut plan = Plan { origins, ..Plan::default() };
    for store in &read.stores {
        match store::plan(read, store, data, insecure) {
            Ok(store) => plan.stores.push(store),
            Err(problem) => problems.push(problem),
        }
    }
    for source in read.sources.iter().filter(|source| !source.spec.suspend) {
        for branch in &source.spec.branches {
            let key = BranchKey {
                source: source.name_any(),
                branch: branch.name.clone(),
                store: branch.store_ref.name.clone(),
            };
            match branch::plan(read, source, branch, data) {
                Ok(branch) => drop(plan.branches.insert(key, branch)),
                Err(problem) => problems.push(problem),
            }
        }
    }
    match Problems::new(problems) {
        Some(problems) => Err(problems),
        None => Ok(plan),
    }
}

fn origins<T: ResourceExt>(resources: &[Located<T>]) -> BTreeMap<String, Origin> {
    resources.iter().map(|it| (it.resource.name_any(), it.origin.clone())).collect()
}

/// On a cluster, resources of one name may stand in several namespaces, and any name is free;
/// here each stands under its bare name in one directory.
fn name_problems(read: &Manifests) -> Vec<Problem> {
    let mut problems = twice("Stores", &read.stores);
    problems.extend(twice("StoreNamespaces", &read.namespaces));
    problems.extend(twice("RuntimeConfigSources", &read.sources));
    for store in &read.stores {
        let name = store.name_any();
        let hidden = name.starts_with('.') || name.contains('/') || name.is_empty();
        if hidden || RESERVED.contains(&name.as_str()) {
            problems.push(problem(
                &store.origin,
                "metadata.name",
                format!(
                    "{name:?} cannot be the name of a Store here, because its data stands in a \
                     directory of that name, which stowage up uses itself; give it another name"
                ),
            ));
        }
    }
    problems
}

fn twice<T: ResourceExt>(kind: &str, resources: &[Located<T>]) -> Vec<Problem> {
    let mut seen: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut problems = Vec::new();
    for resource in resources {
        let name = resource.resource.name_any();
        let namespace = resource.resource.namespace();
        if let Some(other) = seen.insert(name.clone(), namespace.clone()) {
            let both = [other, namespace].map(|n| n.unwrap_or_else(|| "default".to_owned()));
            problems.push(problem(
                &resource.origin,
                "metadata.name",
                format!(
                    "two {kind} are named {name} (in namespaces {}), and without a cluster they \
                     would share what is kept under that name; rename one",
                    both.join(" and ")
                ),
            ));
        }
    }
    problems
}

/// A problem of a field of the resource at a place.
pub(crate) fn problem(origin: &Origin, field: &str, message: String) -> Problem {
    let (line, column) = origin.place(field);
    Problem { file: origin.file.clone(), line, column, field: field.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use stowage_config::{Access, GitAuth, SchemaSource};
    use stowage_crds::NamespaceContract;

    use std::path::PathBuf;

    use super::super::plan::{Credentials, NamespacePlan};
    use super::*;

    const STORE: &str = "apiVersion: stowage.dev/v1alpha1\nkind: Store\n\
        spec: {backend: {volume: {size: 1Gi}}}\n";
    const TENANT: &str = "apiVersion: stowage.dev/v1alpha1\nkind: StoreNamespace\n\
        spec: {storeRef: {name: demo}, contract: runStore, name: ci, access: read}\n";
    const SOURCE: &str = "apiVersion: stowage.dev/v1alpha1\nkind: RuntimeConfigSource\n\
        spec: {repoId: etl, url: 'https://git.example/etl.git', \
        branches: [{name: f/x, environment: dev, storeRef: {name: demo}}], \
        auth: {secretRef: {name: git}}, schema: {configMapRef: {name: shape, key: s.json}}}\n";
    const GIT: &str = "apiVersion: v1\nkind: Secret\n\
        stringData: {username: robot, password: git-password-1, other: not-for-git}\n";
    const SHAPE: &str = "apiVersion: v1\nkind: ConfigMap\ndata: {s.json: '{}'}\n";

    /// Documents with their `metadata`, compiled for the data directory `/data`.
    fn compiled(documents: &[(&str, &str)], insecure: bool) -> Result<Plan, Problems> {
        let directory = tempfile::tempdir().unwrap();
        let texts =
            documents.iter().map(|(metadata, text)| format!("{text}metadata: {metadata}\n"));
        let text = texts.collect::<Vec<_>>().join("---\n");
        std::fs::write(directory.path().join("a.yaml"), text).unwrap();
        let read =
            manifests::load(&[directory.path().to_owned()]).unwrap_or_else(|p| panic!("{p}"));
        compile(&read, Path::new("/data"), insecure)
    }

    #[test]
    fn a_store_names_a_secret_or_has_a_token_made_or_none() {
        for (insecure, expected) in [(false, Credentials::Made), (true, Credentials::Nobody)] {
            let plan = compiled(&[("{name: demo}", STORE)], insecure).unwrap();
            assert_eq!(plan.stores[0].credentials, expected);
            assert_eq!(plan.store_names(), ["demo"]);
        }
    }

    #[test]
    fn a_tenant_stands_with_its_store() {
        let documents =
            [("{name: other}", STORE), ("{name: demo}", STORE), ("{name: shop}", TENANT)];
        let plan = compiled(&documents, false).unwrap();
        assert!(plan.stores[0].namespaces.is_empty());
        let expected = NamespacePlan {
            name: "shop".to_owned(),
            contract: NamespaceContract::RunStore,
            subject: "ci".to_owned(),
            access: Access::Read,
            token_life: std::time::Duration::from_secs(720 * 3600),
            token_generation: 0,
        };
        assert_eq!(plan.stores[1].namespaces, [expected]);
    }

    #[test]
    fn a_branch_has_the_files_that_it_is_told_of_and_no_others() {
        let documents = [
            ("{name: demo}", STORE),
            ("{name: etl}", SOURCE),
            ("{name: git}", GIT),
            ("{name: shape}", SHAPE),
        ];
        let plan = compiled(&documents, false).unwrap();
        let [(key, branch)] = plan.branches.iter().collect::<Vec<_>>()[..] else {
            panic!("one branch");
        };
        assert_eq!((key.source.as_str(), key.branch.as_str()), ("etl", "f/x"));
        let directory = Path::new("/data/.run/demo/etl/f%2Fx");
        assert_eq!(branch.directory, directory);
        let files: Vec<_> = branch.files.keys().map(PathBuf::as_path).collect();
        let expected = ["auth/password", "auth/username", "schema"].map(|f| directory.join(f));
        assert_eq!(files, expected);
        assert_eq!(branch.config.auth, Some(GitAuth::SecretDir(directory.join("auth"))));
        let schema = branch.config.schema.as_ref().map(|schema| &schema.source);
        assert_eq!(schema, Some(&SchemaSource::File(directory.join("schema"))));
    }

    #[test]
    fn names_that_cannot_stand_side_by_side_are_refused() {
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a str);
        let table: &[Row<'_>] = &[
            (&[("{name: tokens}", STORE)], "\"tokens\" cannot be the name of a Store here"),
            (&[("{name: bindings}", STORE)], "\"bindings\" cannot be the name of a Store here"),
            (
                &[("{name: demo}", STORE), ("{name: demo, namespace: b}", STORE)],
                "two Stores are named demo (in namespaces default and b)",
            ),
            (
                &[
                    ("{name: demo}", STORE),
                    ("{name: x}", TENANT),
                    ("{name: x, namespace: b}", TENANT),
                    ("{name: demo, namespace: b}", STORE),
                ],
                "two StoreNamespaces are named x",
            ),
        ];
        for (documents, said) in table {
            let Err(problems) = compiled(documents, false) else { panic!("not refused: {said}") };
            let text = problems.to_string();
            assert!(text.contains(said), "no {said:?} in {text}");
            assert!(text.contains("a.yaml:"), "{text}");
        }
    }
}
