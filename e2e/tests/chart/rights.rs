//! Every right that the chart hands out, as the page `docs/rbac.md`; and those that it never does.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::helm::{Objects, repository, template};

const NAMESPACED: &str = "--set=watchNamespaces={team-a,team-b}";

/// `make rbac` sets this to have the page written instead of compared.
const WRITE: &str = "STOWAGE_WRITE_RBAC_PAGE";

/// One rule of one role.
#[derive(Debug)]
struct Rule {
    role: String,
    /// The namespace where it holds; none: the whole cluster.
    namespace: Option<String>,
    /// Who has it.
    subject: String,
    group: String,
    resources: Vec<String>,
    verbs: Vec<String>,
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().unwrap_or_else(|| panic!("{value} is no list"));
    items.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

fn rules(objects: &Objects) -> Vec<Rule> {
    let mut rules = Vec::new();
    for kind in ["ClusterRole", "Role"] {
        for role in objects.of(kind) {
            let name = role["metadata"]["name"].as_str().unwrap().to_owned();
            let namespace = role["metadata"]["namespace"].as_str().map(str::to_owned);
            for rule in role["rules"].as_array().unwrap() {
                let keys: Vec<&String> = rule.as_object().unwrap().keys().collect();
                assert_eq!(keys, ["apiGroups", "resources", "verbs"], "{name}: {rule}");
                let groups = strings(&rule["apiGroups"]);
                assert_eq!(groups.len(), 1, "{name}: one group a rule, so that each can be read");
                rules.push(Rule {
                    role: name.clone(),
                    namespace: namespace.clone(),
                    subject: subject(objects, role),
                    group: groups[0].clone(),
                    resources: strings(&rule["resources"]),
                    verbs: strings(&rule["verbs"]),
                });
            }
        }
    }
    assert!(!rules.is_empty(), "the chart has no rule at all");
    rules
}

/// Who a role is bound to, in its own namespace.
fn subject(objects: &Objects, role: &Value) -> String {
    let aggregated: Vec<&str> = ["view", "edit", "admin"]
        .into_iter()
        .filter(|to| {
            let label = format!("rbac.authorization.k8s.io/aggregate-to-{to}");
            role["metadata"]["labels"][label] == "true"
        })
        .collect();
    if !aggregated.is_empty() {
        return format!("who has {}", aggregated.join(", "));
    }
    let kind = role["kind"].as_str().unwrap();
    let bindings = if kind == "Role" { "RoleBinding" } else { "ClusterRoleBinding" };
    let subjects: Vec<&str> = objects
        .of(bindings)
        .into_iter()
        .filter(|binding| binding["metadata"]["namespace"] == role["metadata"]["namespace"])
        .filter(|binding| {
            binding["roleRef"]["kind"] == kind
                && binding["roleRef"]["name"] == role["metadata"]["name"]
        })
        .flat_map(|binding| binding["subjects"].as_array().unwrap())
        .map(|subject| {
            assert_eq!(subject["kind"], "ServiceAccount");
            assert_eq!(subject["namespace"], crate::helm::NAMESPACE);
            subject["name"].as_str().unwrap()
        })
        .collect();
    assert_eq!(subjects.len(), 1, "{kind} {}: bound to {subjects:?}", role["metadata"]["name"]);
    subjects[0].to_owned()
}

fn table(rules: &[Rule]) -> String {
    let mut text = String::from(
        "| who | where | API group | resources | verbs | by the role |\n|---|---|---|---|---|---|\n",
    );
    for rule in rules {
        let place = rule.namespace.as_ref().map_or("the cluster".to_owned(), |n| format!("`{n}`"));
        let group = if rule.group.is_empty() { "core" } else { &rule.group };
        let (resources, verbs) = (rule.resources.join(", "), rule.verbs.join(", "));
        let Rule { subject, role, .. } = rule;
        writeln!(text, "| {subject} | {place} | {group} | {resources} | {verbs} | `{role}` |")
            .unwrap();
    }
    text
}

#[test]
fn the_page_lists_every_right() {
    let page = format!(
        "# Rights\n\
         Written by `make rbac` from the chart; do not edit. Of a release `stowage` in the namespace\n\
         `stowage-system`: `stowage` is the operator's ServiceAccount, `stowage-verify` that of\n\
         `helm test`.\n\n\
         Storage pods and sync Jobs have no rights at all.\n\n\
         ## For all namespaces (the default)\n{}\n\
         ## With `watchNamespaces: [team-a, team-b]`\n{}",
        table(&rules(&template(&[]))),
        table(&rules(&template(&[NAMESPACED]))),
    );
    let path = repository("docs/rbac.md");
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/rbac.md is old: run `make rbac`, and look at what changed");
}

/// Nothing by wildcard, nothing through which more rights can be had.
#[test]
fn some_rights_are_never_handed_out() {
    let forbidden_verbs = ["*", "escalate", "bind", "impersonate", "approve", "sign"];
    let forbidden_resources = [
        "*",
        "pods/exec",
        "pods/attach",
        "pods/portforward",
        "pods/ephemeralcontainers",
        "pods/proxy",
        "services/proxy",
        "nodes",
        "nodes/proxy",
        "serviceaccounts/token",
        "namespaces",
        "customresourcedefinitions",
    ];
    let forbidden_groups = [
        "*",
        "rbac.authorization.k8s.io",
        "admissionregistration.k8s.io",
        "certificates.k8s.io",
        "apiextensions.k8s.io",
        "authentication.k8s.io",
    ];
    for arguments in [&[][..], &[NAMESPACED]] {
        for rule in rules(&template(arguments)) {
            assert!(!forbidden_groups.contains(&rule.group.as_str()), "{rule:?}");
            for verb in &rule.verbs {
                assert!(!forbidden_verbs.contains(&verb.as_str()), "{rule:?}");
            }
            for resource in &rule.resources {
                assert!(!forbidden_resources.contains(&resource.as_str()), "{rule:?}");
            }
            let kept = ["stores", "statefulsets", "services", "serviceaccounts", "pods"];
            let of_people = rule.subject.starts_with("who has");
            if !of_people && rule.resources.iter().any(|resource| kept.contains(&resource.as_str()))
            {
                assert!(!rule.verbs.iter().any(|verb| verb.starts_with("delete")), "{rule:?}");
            }
        }
    }
}

/// In the namespaced mode, everything but StorageClasses ends at the namespaces that are named,
/// and Secrets are out of reach in the operator's own.
#[test]
fn namespaced_rights_end_at_the_namespaces() {
    for rule in rules(&template(&[NAMESPACED])) {
        if !rule.subject.starts_with("who has") {
            match rule.namespace.as_deref() {
                None => {
                    assert_eq!(rule.group, "storage.k8s.io", "{rule:?}");
                    assert_eq!(rule.verbs, ["get"], "{rule:?}");
                }
                Some("team-a" | "team-b") => {}
                Some(crate::helm::NAMESPACE) => {
                    let group = if rule.subject == "stowage-verify" {
                        "stowage.dev"
                    } else {
                        "coordination.k8s.io"
                    };
                    assert_eq!(rule.group, group, "{rule:?}");
                }
                Some(other) => panic!("rights in {other}: {rule:?}"),
            }
        }
    }
    let everywhere = rules(&template(&[])).into_iter().filter(|rule| rule.namespace.is_none());
    let of_secrets: Vec<Rule> =
        everywhere.filter(|rule| rule.resources.contains(&"secrets".to_owned())).collect();
    assert_eq!(of_secrets.len(), 1, "Secrets stand in one rule: {of_secrets:?}");
    assert_eq!(of_secrets[0].subject, "stowage");
}
