//! What is wrong is said where a person looks, and is over once it is put right.

use serde_json::json;

use crate::support::namespace::Namespace;
use crate::support::release;
use crate::support::{SOON, stores};

#[test]
fn a_missing_image_is_named_until_it_is_there() {
    let _cluster = release::shared();
    let namespace = Namespace::create("image");
    namespace.apply(&stores::tokens(&[("admin", stores::TOKEN)]));
    let missing = "localhost:1/nobody/has-this:0";
    namespace.apply(&stores::manifest("demo", &json!({"image": missing})));
    let message = namespace.wait_for_reason("store/demo", "Ready", "False", "ImageMissing", SOON);
    assert!(message.contains(missing), "the message does not name the image: {message}");
    namespace.apply(&stores::manifest("demo", &json!({})));
    stores::ready(&namespace, "demo");
}

#[test]
fn a_missing_secret_is_named_until_it_is_there() {
    let _cluster = release::shared();
    let namespace = Namespace::create("secret");
    namespace.apply(&stores::manifest("demo", &json!({})));
    let message = namespace.wait_for_reason("store/demo", "Ready", "False", "SecretMissing", SOON);
    assert!(message.contains("demo-tokens"), "the message does not name the Secret: {message}");
    namespace.apply(&stores::tokens(&[("admin", stores::TOKEN)]));
    stores::ready(&namespace, "demo");
}

#[test]
fn a_missing_storage_class_is_named_until_it_is_there() {
    let _cluster = release::shared();
    let namespace = Namespace::create("class");
    namespace.apply(&stores::tokens(&[("admin", stores::TOKEN)]));
    let class = namespace.name.clone();
    let volume = json!({"backend": {"volume": {"size": "1Gi", "storageClassName": class}}});
    namespace.apply(&stores::manifest("demo", &volume));
    let reason = "StorageClassMissing";
    let message = namespace.wait_for_reason("store/demo", "Ready", "False", reason, SOON);
    assert!(message.contains(&class), "the message does not name the class: {message}");
    let _class = Class::like_the_default(&namespace, &class);
    stores::ready(&namespace, "demo");
}

/// A StorageClass of one test.
struct Class<'a>(&'a Namespace, String);

impl<'a> Class<'a> {
    fn like_the_default(namespace: &'a Namespace, name: &str) -> Self {
        let classes = namespace.get("storageclasses");
        let default = "storageclass.kubernetes.io/is-default-class";
        let mut class = classes["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|class| class["metadata"]["annotations"][default] == "true")
            .expect("a default class")
            .clone();
        let mut annotations = class["metadata"]["annotations"].clone();
        annotations.as_object_mut().unwrap().remove(default);
        class["metadata"] = json!({"name": name, "annotations": annotations});
        namespace.apply(&class.to_string());
        Self(namespace, name.to_owned())
    }
}

impl Drop for Class<'_> {
    fn drop(&mut self) {
        self.0.try_kubectl(&["delete", "storageclass", &self.1]);
    }
}
