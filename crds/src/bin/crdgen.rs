//! Writes the CustomResourceDefinitions to `crds/yaml/` and into the Helm chart, and their reference
//! to `docs/resources.md`; or the definitions alone to standard output.

use std::io::Write;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml");
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/stowage/templates/crds");
    let to_stdout = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("-") => true,
        Some(_) => return Err("usage: crdgen [-]   (-: to standard output)".into()),
    };
    for definition in stowage_crds::definitions() {
        let text = stowage_crds::yaml(&definition)?;
        if to_stdout {
            std::io::stdout().write_all(text.as_bytes())?;
        } else {
            let template = stowage_crds::chart_template(&definition)?;
            std::fs::create_dir_all(&directory)?;
            std::fs::create_dir_all(&templates)?;
            let file = format!("{}.yaml", definition.metadata.name.unwrap_or_default());
            std::fs::write(directory.join(&file), text)?;
            std::fs::write(templates.join(&file), template)?;
        }
    }
    if !to_stdout {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/resources.md");
        std::fs::write(page, stowage_crds::reference())?;
    }
    Ok(())
}
