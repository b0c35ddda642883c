//! Every CEL rule of the three kinds, with the sentence that a person reads.
//!
//! A rule stands where an API server evaluates it: at the field, so that the message carries the
//! field's path. Strings and lists that a rule looks at are bounded in the schema, because an API
//! server charges a rule by what it might have to look at. Literals are written as `r'…'`, so
//! that a backslash is the regular expression's own.

use kube::core::{Reason, Rule};

fn rule(expression: &str, message: &str) -> Rule {
    Rule::new(expression).message(message).reason(Reason::FieldValueInvalid)
}

/// A Store's name becomes that of a Service (RFC 1035 label) and of pods, whose labels add to it.
///
/// Names no field path: an API server knows only paths of the definition's own schema, in which
/// `metadata` is not spelled out.
#[must_use]
pub fn store_name() -> Rule {
    rule(
        "size(self.metadata.name) <= 52 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "a Store's name is 1 to 52 lower-case letters, digits and -, and begins with a letter: \
         choose another metadata.name",
    )
}

/// The name of another object (RFC 1123 subdomain).
#[must_use]
pub fn object_name() -> Rule {
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
        "write the name of an object: lower-case letters, digits, - and .",
    )
}

/// A key of a ConfigMap.
#[must_use]
pub fn data_key() -> Rule {
    rule("self.matches('^[-._a-zA-Z0-9]+$')", "write a key: letters, digits, -, _ and .")
}

/// Exactly one backend.
#[must_use]
pub fn one_backend() -> Rule {
    rule(
        "[has(self.volume)].exists_one(set, set)",
        "set exactly one backend, such as volume: {size: 10Gi}",
    )
}

/// A volume can grow and never shrink. What was asked for and never came may be taken back: the
/// status has the size that is there. A rule of the whole Store, since only those see its status.
#[must_use]
pub fn volume_never_shrinks() -> Rule {
    rule(
        "!has(self.spec.backend.volume) || !has(self.spec.backend.volume.size) || \
         !has(oldSelf.spec.backend.volume) || !has(oldSelf.spec.backend.volume.size) || \
         quantity(string(self.spec.backend.volume.size)).compareTo(\
         quantity(string(oldSelf.spec.backend.volume.size))) >= 0 || \
         (has(oldSelf.status) && has(oldSelf.status.backend) && \
         has(oldSelf.status.backend.capacity) && \
         quantity(string(self.spec.backend.volume.size)).compareTo(\
         quantity(oldSelf.status.backend.capacity)) >= 0)",
        "a volume cannot shrink: write the old size or more, or make a smaller Store and copy \
         the data into it",
    )
    .field_path(".spec.backend.volume.size")
}

/// A volume of its own, or one that is there.
#[must_use]
pub fn size_or_existing_claim() -> Rule {
    rule(
        "has(self.size) != has(self.existingClaim)",
        "write size, for a volume of its own, or existingClaim, for one that is there: one of \
         them and not both",
    )
}

/// A claim that is there has its own class and modes.
#[must_use]
pub fn existing_claim_stands_alone() -> Rule {
    rule(
        "!has(self.existingClaim) || !(has(self.storageClassName) || has(self.accessModes))",
        "with existingClaim, class and access modes are those of the claim: take \
         storageClassName and accessModes out",
    )
}

/// The data would be left behind.
#[must_use]
pub fn existing_claim_never_changes() -> Rule {
    rule(
        "has(self.existingClaim) == has(oldSelf.existingClaim) && \
         (!has(self.existingClaim) || self.existingClaim == oldSelf.existingClaim)",
        "existingClaim cannot change, for the data would stay behind: make another Store and copy \
         the data into it",
    )
    .reason(Reason::FieldValueForbidden)
}

/// A claim's class is settled when it is made.
#[must_use]
pub fn storage_class_never_changes() -> Rule {
    rule(
        "has(self.storageClassName) == has(oldSelf.storageClassName) && \
         (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
        "storageClassName cannot change, for a volume stays in its class: make another Store and \
         copy the data into it",
    )
    .reason(Reason::FieldValueForbidden)
}

/// A claim's modes are settled when it is made.
#[must_use]
pub fn access_modes_never_change() -> Rule {
    rule(
        "(has(self.accessModes) ? self.accessModes : ['ReadWriteOnce']) == \
         (has(oldSelf.accessModes) ? oldSelf.accessModes : ['ReadWriteOnce'])",
        "accessModes cannot change, for those of a volume are settled when it is made: make \
         another Store and copy the data into it",
    )
    .reason(Reason::FieldValueForbidden)
}

/// With less, a store would wait for its disk all the time.
#[must_use]
pub fn memory_for_something() -> Rule {
    rule(
        "!has(self.memory) || \
         quantity(string(self.memory)).compareTo(quantity('8Mi')) >= 0",
        "memory is 8Mi at least: write more, or take it out for the default",
    )
    .field_path(".memory")
}

/// With less, every write would wait for the tree.
#[must_use]
pub fn journal_for_something() -> Rule {
    rule(
        "!has(self.journalSize) || \
         quantity(string(self.journalSize)).compareTo(quantity('1Mi')) >= 0",
        "journalSize is 1Mi at least: write more, or take it out for the default",
    )
    .field_path(".journalSize")
}

/// The other half is for requests and the process itself; above the limit it is killed. A rule of
/// the whole Store, since only those see both fields.
#[must_use]
pub fn memory_within_the_containers() -> Rule {
    rule(
        "!has(self.spec.backend.volume) || !has(self.spec.backend.volume.memory) || \
         (has(self.spec.resources) && \
         (!has(self.spec.resources.limits) || !has(self.spec.resources.limits.memory))) || \
         quantity(string(self.spec.backend.volume.memory)).add(\
         quantity(string(self.spec.backend.volume.memory))).compareTo(\
         quantity(has(self.spec.resources) ? string(self.spec.resources.limits.memory) : \
         '512Mi')) <= 0",
        "memory is at most half of what the container may use, which is 512Mi without resources: \
         write less, or raise resources.limits.memory",
    )
    .field_path(".spec.backend.volume.memory")
}

/// An image reference: more would have to know every registry's rules.
#[must_use]
pub fn image() -> Rule {
    rule(
        r"self.matches(r'^[^\s]+$')",
        "write an image such as registry.example/stowage-sidecar:1.0, without spaces",
    )
}

/// A CPU quantity in whole thousandths.
#[must_use]
pub fn cpu_amount() -> Rule {
    rule(
        "quantity(string(self)).compareTo(quantity('0')) > 0",
        "write more than nothing, such as 500m",
    )
}

/// Labels by which the operator and its Services know the pod.
#[must_use]
pub fn not_our_labels() -> Rule {
    rule(
        "self.all(key, !key.startsWith('app.kubernetes.io/') && !key.startsWith('stowage.dev/'))",
        "labels of app.kubernetes.io/ and stowage.dev/ are the operator's own: choose other names",
    )
}

/// Annotations in which the operator remembers.
#[must_use]
pub fn not_our_annotations() -> Rule {
    rule(
        "self.all(key, !key.startsWith('stowage.dev/'))",
        "annotations of stowage.dev/ are the operator's own: choose other names",
    )
}

/// No contract twice.
#[must_use]
pub fn unique_contracts() -> Rule {
    rule("self.all(a, self.exists_one(b, a == b))", "name each contract once")
}

/// Origins as a browser sends them (RFC 6454 §6.1), `null` or `*`.
#[must_use]
pub fn origins() -> Rule {
    rule(
        concat!(
            r"self.all(origin, origin in ['*', 'null'] || origin.matches(",
            r"r'^[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])",
            // Up to 65535.
            r"(:([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$'))",
        ),
        "an origin is scheme and host in lower case without a path or a slash at the end, such as \
         https://app.example, or null, or *",
    )
}

/// Exactly one place of the keys of JWTs.
#[must_use]
pub fn one_jwt_source() -> Rule {
    rule(
        "[has(self.jwksUri), has(self.jwksSecretRef), has(self.hmacSecretRef)].exists_one(set, set)",
        "the keys of JWTs come from exactly one of jwksUri, jwksSecretRef and hmacSecretRef",
    )
}

/// Where keys are fetched.
#[must_use]
pub fn jwks_uri() -> Rule {
    rule(
        concat!(
            r"self.matches(r'^https?://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)",
            r"(:[0-9]{1,5})?(/[A-Za-z0-9._~/%:@+,=()!*&$;?-]*)?$')",
        ),
        "write the URL of a JWK Set, such as https://issuer.example/.well-known/jwks.json, without \
         user name and password",
    )
}

/// Where traces are sent.
#[must_use]
pub fn otlp_endpoint() -> Rule {
    rule(
        concat!(
            r"self.matches(r'^https?://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)",
            r"(:[0-9]{1,5})?(/[A-Za-z0-9._~/%:+,=()!*&$;-]*)?$')",
        ),
        "write the URL of a collector, such as http://collector:4318, without user name, password \
         and query",
    )
}

/// Without TLS there is nothing to check.
#[must_use]
pub fn ca_for_https() -> Rule {
    rule(
        "!has(self.caSecretRef) || self.endpoint.startsWith('https://')",
        "caSecretRef is for a collector behind TLS: write https:// in endpoint, or take \
         caSecretRef out",
    )
}

/// Farther apart, an expiry would mean little.
#[must_use]
pub fn clock_skew() -> Rule {
    rule(
        "duration(self) <= duration('5m')",
        "clockSkew is 5m at most: write less, and set the clocks",
    )
}

/// A field that is part of what the data is known by.
#[must_use]
pub fn never_changes(field: &str) -> Rule {
    rule(
        "self == oldSelf",
        &format!("{field} cannot change: delete the resource and make one with another name"),
    )
    .reason(Reason::FieldValueForbidden)
}

/// The name by which a namespace is served; see [`never_changes`].
#[must_use]
pub fn namespace_name_never_changes() -> Rule {
    rule(
        "(has(self.spec.name) ? self.spec.name : self.metadata.name) == \
         (has(oldSelf.spec.name) ? oldSelf.spec.name : oldSelf.metadata.name)",
        "name cannot change: delete the resource and make one with another name",
    )
    .reason(Reason::FieldValueForbidden)
    .field_path(".spec.name")
}

/// Where `metadata.name` is the namespace's name, it must fit one.
#[must_use]
pub fn default_namespace_name() -> Rule {
    rule(
        "has(self.spec.name) || size(self.metadata.name) <= 128",
        "without spec.name, metadata.name is the name in the store, which has at most 128 \
         characters: write spec.name",
    )
    .field_path(".spec.name")
}

/// A name in a URL of the contracts that a tenant can have a part of.
#[must_use]
pub fn namespace_name() -> Rule {
    rule(
        "self.matches('^[A-Za-z0-9._:@+~-]+$') && !(self in ['.', '..'])",
        "a name holds only letters, digits and . _ : @ + ~ -, and is neither . nor ..",
    )
}

/// Only namespaces of keys have a quota.
#[must_use]
pub fn quota_only_for_kv() -> Rule {
    rule(
        "!has(self.quota) || self.contract == 'kv'",
        "only the contract kv has a quota: take the quota out",
    )
    .field_path(".quota")
}

/// A quota limits something.
#[must_use]
pub fn quota_not_empty() -> Rule {
    rule("has(self.maxBytes) || has(self.maxKeys)", "write maxBytes, maxKeys or both")
}

/// A repository's id: a name that may hold `/`.
#[must_use]
pub fn repository_id() -> Rule {
    rule(
        "self.matches('^[A-Za-z0-9._:@+~/-]+$') && \
         self.split('/').all(part, !(part in ['', '.', '..']))",
        "a repository id holds only letters, digits and . _ : @ + ~ - in parts joined by /, none \
         of them empty, . or ..",
    )
}

/// The forms of a repository's URL.
#[must_use]
pub fn url_form() -> Rule {
    rule(
        concat!(
            r"self.matches(r'^[A-Za-z0-9._~/%:@+,=()!*&$;\[\]-]+$') && ",
            r"(self.matches(r'^(https?|ssh)://([^/@-][^/@]*@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*)(:[0-9]{1,5})?/.+$') || ",
            r"self.matches('^file:///.+$') || ",
            r"self.matches('^[A-Za-z0-9_][A-Za-z0-9._-]*@[A-Za-z0-9_][A-Za-z0-9._-]*:[^:-].*$'))",
        ),
        "write https://host/path, ssh://user@host/path or user@host:path (without a cluster also \
         http:// and file:///path), without spaces, quotes, ? and #",
    )
}

/// Credentials stand in a Secret.
#[must_use]
pub fn url_without_credentials() -> Rule {
    rule(
        "!self.matches('^https?://[^/]*@') && !self.matches('^ssh://[^/@]*:[^/]*@')",
        "a URL holds no user name and password: put them into a Secret and name it in \
         auth.secretRef",
    )
}

/// No branch twice into one Store.
#[must_use]
pub fn unique_branches() -> Rule {
    rule(
        "self.all(a, self.exists_one(b, a.name == b.name && a.storeRef.name == b.storeRef.name))",
        "name each branch once for each Store",
    )
}

/// git-check-ref-format(1), within the characters of the contract's names.
#[must_use]
pub fn branch_name() -> Rule {
    rule(
        "self.matches('^[A-Za-z0-9_@+][A-Za-z0-9._@+/-]*$') && self != '@' && \
         !self.contains('..') && self.split('/').all(part, part != '' && \
         !part.startsWith('.') && !part.endsWith('.') && !part.endsWith('.lock'))",
        "write a branch such as main or release/1.2: letters, digits and . _ @ + - in parts \
         joined by /, not beginning with -, without .. and not ending in . or .lock",
    )
}

/// Globs match paths in the repository, which begin with no `/`.
#[must_use]
pub fn relative_globs() -> Rule {
    rule(
        "self.all(glob, !glob.startsWith('/'))",
        "a glob matches a path in the repository, such as **/*runtime*.yaml: leave out the / at \
         its beginning",
    )
}

/// Exactly one place of the schema.
#[must_use]
pub fn one_schema_source() -> Rule {
    rule(
        "[has(self.inline), has(self.configMapRef), has(self.path)].exists_one(set, set)",
        "a schema comes from exactly one of inline, configMapRef and path",
    )
}

/// A path that does not lead out of the repository.
#[must_use]
pub fn relative_path() -> Rule {
    rule(
        "self.split('/').all(part, !(part in ['', '.', '..']))",
        "write a path in the repository, such as schema/runtime.json, without . and .. and \
         without a / at its beginning or end",
    )
}

/// RFC 6901 §3.
#[must_use]
pub fn json_pointer() -> Rule {
    rule(
        "self.matches('^(/([^/~]|~[01])*)*$')",
        "a JSON pointer begins with /, such as /runtime, and writes ~ as ~0 and / as ~1",
    )
}

/// Shorter would be load without use, longer nothing that a schedule can express.
#[must_use]
pub fn interval_range() -> Rule {
    rule(
        "duration(self) >= duration('10s') && duration(self) <= duration('24h')",
        "the interval is from 10s to 24h",
    )
}

/// Shorter, and whoever mounts the Secret would not have the next one in time; longer, and an expiry
/// means little.
#[must_use]
pub fn token_ttl_range() -> Rule {
    rule(
        "duration(self) >= duration('10m') && duration(self) <= duration('8760h')",
        "the life of a token is from 10m to 8760h",
    )
}

/// A number that was used before would make tokens good again that were revoked by leaving it.
#[must_use]
pub fn token_generation_grows() -> Rule {
    rule(
        "self >= oldSelf",
        "tokenGeneration only grows: a smaller number would make revoked tokens good again",
    )
}

/// A sync that hangs must end.
#[must_use]
pub fn timeout_range() -> Rule {
    rule(
        "duration(self) >= duration('1s') && duration(self) <= duration('1h')",
        "the timeout is from 1s to 1h",
    )
}
