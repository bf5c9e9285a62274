//! A product with a release and a support date, as bundles bring it.

use super::kit::Kit;
use perennial_device_core::crypto::Ring;
use perennial_schemas::crypto::Digest;
use perennial_schemas::index::{Index, Shape};

const SUPPORT: &str = r#"{"format":"perennial.support/1","requires":[],"product":"cam","promises":[PROMISES],
"contact":{"contacts":["mailto:security@example.com"],"acknowledgement_days":5,"status_update_days":14}}"#;

pub(super) fn support(dates: &[&str]) -> String {
    let promise = |date: &&str| {
        format!(
            r#"{{"made":"2026-11-01T00:00:00Z","guaranteed_until":"{date}","reason":"Five years from launch."}}"#
        )
    };
    SUPPORT.replace("PROMISES", &dates.iter().map(promise).collect::<Vec<_>>().join(","))
}

/// The record after `published`, with these dates.
pub(super) fn support_after(published: &str, dates: &[&str]) -> String {
    let before: serde_json::Value = serde_json::from_str(published).unwrap();
    let number = before["sequence"].as_u64().unwrap_or(1) + 1;
    let chained =
        format!(r#""sequence":{number},"previous":"{}","promises""#, Ring.sha256(published.as_bytes()));
    support(dates).replacen(r#""promises""#, &chained, 1)
}

/// The index of `content`, and its root.
pub(super) fn index(content: &str) -> (Vec<u8>, String) {
    let shape = Shape::new(content.len() as u64, 12).unwrap();
    let (bytes, root) = Index::new(shape, vec![Ring.sha256(content.as_bytes())]).unwrap().encode(&Ring);
    (bytes, root.to_string())
}

/// A release whose image is `raw <version>`, packed as `image <version>` in `cam/<version>.a.image.zst`.
pub(super) fn release(version: &str, until: &str) -> String {
    let (raw, packed) = (format!("raw {version}"), format!("image {version}"));
    let index = |name: &str, of: &str| {
        format!(r#"{{"target":"cam/{version}.a.image.{name}","root":"{}"}}"#, index(of).1)
    };
    format!(
        r#"{{"format":"perennial.release/1","requires":[],"product":"cam","version":"{version}","security_version":1,
        "class":{{"kind":"security"}},"created":"2026-11-01T00:00:00Z","notes":{{"what":"Fixes a bug."}},
        "available_until":"{until}","images":[{{"hardware":["a"],"length":{},"sha256":"{}","index":{},
        "payloads":[{{"encoding":"zstd","target":"cam/{version}.a.image.zst","length":{},"index":{}}}]}}]}}"#,
        raw.len(),
        Ring.sha256(raw.as_bytes()),
        index("index", &raw),
        packed.len(),
        index("zst.index", &packed),
    )
}

pub(super) fn add_release(kit: &mut Kit, version: &str, until: &str) {
    let (raw, packed) = (format!("raw {version}"), format!("image {version}"));
    kit.target(&format!("cam/{version}.release.json"), release(version, until));
    kit.target(&format!("cam/{version}.a.image.index"), index(&raw).0);
    kit.target(&format!("cam/{version}.a.image.zst.index"), index(&packed).0);
    kit.target(&format!("cam/{version}.a.image.zst"), packed);
}

/// A kit with one release and one support date, taken in.
pub(super) fn published() -> Kit {
    let mut kit = Kit::new();
    kit.target("cam/support.json", support(&["2031-06-30"]));
    add_release(&mut kit, "1.0.0", "2036-11-01");
    let bundle = kit.publish("first.bundle");
    let said = kit.ingest(&bundle).ok();
    assert!(said.starts_with("Generation 1 is served: snapshot 2, "), "{said}");
    kit
}

/// The bundle is refused with these words, and nothing on the disk has changed.
pub(super) fn refused(kit: &Kit, bundle: &std::path::Path, words: &str) {
    let before = kit.everything();
    let (what, hint) = kit.ingest(bundle).refused();
    assert!(what.contains(words), "{what}");
    assert!(!hint.is_empty());
    assert!(kit.everything() == before, "a refused bundle changed the state folder");
}

/// A release of hardware `a` with a rollout plan, and the channel that offers it.
pub(super) fn add_staged(kit: &mut Kit, version: &str, plan: &serde_json::Value) {
    let mut staged: serde_json::Value = serde_json::from_str(&release(version, "2036-11-01")).unwrap();
    staged["requires"] = serde_json::json!(["rollout"]);
    staged["rollout"] = plan.clone();
    add_release(kit, version, "2036-11-01");
    let text = staged.to_string();
    let manifest = Ring.sha256(text.as_bytes());
    kit.target(&format!("cam/{version}.release.json"), &text);
    let offered = serde_json::json!([{ "version": version, "manifest": manifest }]);
    channel(kit, &offered, &serde_json::json!([]));
}

/// The channel `stable`.
pub(super) fn channel(kit: &mut Kit, releases: &serde_json::Value, withdrawn: &serde_json::Value) {
    let channel = serde_json::json!({
        "format": "perennial.channel/1", "requires": [], "product": "cam", "channel": "stable",
        "releases": releases, "withdrawn": withdrawn,
    });
    kit.target("cam/stable.channel.json", channel.to_string());
}
