use super::offers::{Offer, Offers};
use super::testkit::plan;
use crate::blobs::{Blobs, digest_of};
use crate::disk;
use crate::generation::{FileRef, Generation};
use perennial_schemas::{ProductName, Sha256Digest};
use serde_json::{Value, json};

/// A generation's content, as it lies on the disk.
struct Content {
    folder: tempfile::TempDir,
    generation: Generation,
}

impl Content {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let generation = json!({
            "number": 1, "created": "2026-11-22T10:00:00Z",
            "snapshot": { "version": 1, "length": 1, "sha256": "00".repeat(32) },
            "offline_timestamp": false, "expiries": {}, "support": {}, "files": {},
        });
        Self { folder, generation: serde_json::from_value(generation).unwrap() }
    }

    fn blobs(&self) -> Blobs {
        Blobs::at(self.folder.path().into())
    }

    fn put(&mut self, path: &str, document: &Value) -> Sha256Digest {
        let text = document.to_string();
        let sha256 = digest_of(text.as_bytes());
        disk::replace(&self.blobs().path(&sha256), text.as_bytes(), 0o644).unwrap();
        let length = text.len() as u64;
        self.generation.files.insert(path.into(), FileRef { length, sha256 });
        sha256
    }

    /// A release with a plan.
    fn release(&mut self, product: &str, version: &str) -> Sha256Digest {
        let part = |name: &str| json!({ "target": format!("{product}/{version}.revC.{name}"), "root": "00".repeat(32) });
        let payload = json!({ "encoding": "zstd", "target": format!("{product}/{version}.revC.image.zst"),
            "length": 1, "index": part("image.zst.index") });
        let image = json!({ "hardware": ["revC"], "length": 1, "sha256": "00".repeat(32),
            "index": part("image.index"), "payloads": [payload] });
        let release = json!({
            "format": "perennial.release/1", "requires": ["rollout"], "product": product, "version": version,
            "security_version": 1, "class": { "kind": "security" }, "created": "2026-11-01T00:00:00Z",
            "notes": { "what": "Mends the clock." }, "available_until": "2036-11-01", "images": [image],
            "rollout": plan(),
        });
        self.put(&format!("targets/{product}/{version}.release.json"), &release)
    }

    fn channel(
        &mut self,
        product: &str,
        channel: &str,
        offered: &[(&str, Sha256Digest)],
        gone: Option<Sha256Digest>,
    ) {
        let releases: Vec<Value> = offered
            .iter()
            .map(|(version, manifest)| json!({ "version": version, "manifest": manifest }))
            .collect();
        let gone: Vec<Value> = gone
            .iter()
            .map(|it| {
                json!({ "version": "9.0.0", "manifest": it, "reason": "it overheats", "at": "2026-11-22T10:00:00Z" })
            })
            .collect();
        let document = json!({ "format": "perennial.channel/1", "requires": [], "product": product,
            "channel": channel, "releases": releases, "withdrawn": gone });
        self.put(&format!("targets/{product}/{channel}.channel.json"), &document);
    }

    /// It still reads like a document, and isn't the one that was signed.
    fn spoil(&self, path: &str) {
        let digest = self.generation.files[path].sha256;
        let text = self.blobs().read(&digest, 1 << 20).unwrap();
        disk::replace(&self.blobs().path(&digest), &[text.as_slice(), b" "].concat(), 0o644).unwrap();
    }

    fn read(&self) -> Offers {
        Offers::read(&self.generation, &Offers::default(), &self.blobs())
    }
}

fn name(product: &str) -> ProductName {
    product.parse().unwrap()
}

fn versions(offers: &Offers) -> Vec<&str> {
    let mut versions: Vec<&str> =
        offers.offered.values().map(|offer: &std::sync::Arc<Offer>| offer.version.as_str()).collect();
    versions.sort_unstable();
    versions
}

/// A team's channel may name any digest: also that of another product's release.
#[test]
fn another_products_channel_withdraws_nothing() {
    let mut content = Content::new();
    let release = content.release("thermostat", "2.0.0");
    content.channel("thermostat", "stable", &[("2.0.0", release)], None);
    content.channel("camera", "stable", &[], Some(release));
    let offers = content.read();
    let record = super::record::Record::new(&offers.offered[&release], super::testkit::day(0));
    assert_eq!((versions(&offers), offers.withdrawn_for(&record)), (vec!["2.0.0"], None));
    // Its own does.
    content.channel("thermostat", "beta", &[], Some(release));
    assert_eq!(content.read().withdrawn_for(&record), Some("it overheats"));
}

#[test]
fn a_channel_or_a_manifest_that_cannot_be_read_hides_no_other() {
    let mut content = Content::new();
    let (two, three) = (content.release("thermostat", "2.0.0"), content.release("thermostat", "3.0.0"));
    let camera = content.release("camera", "5.0.0");
    content.channel("thermostat", "stable", &[("2.0.0", two), ("3.0.0", three)], None);
    content.channel("camera", "stable", &[("5.0.0", camera)], None);
    assert_eq!(versions(&content.read()), ["2.0.0", "3.0.0", "5.0.0"]);
    content.spoil("targets/thermostat/3.0.0.release.json");
    let offers = content.read();
    assert_eq!((versions(&offers), offers.damaged.len()), (vec!["2.0.0", "5.0.0"], 1));
    let unsure = |offers: &Offers, product, manifest| offers.unsure(&name(product), &manifest).is_some();
    assert!(unsure(&offers, "thermostat", three) && !unsure(&offers, "thermostat", two));
    // A channel might say anything of each release of its product, and nothing of another's.
    content.spoil("targets/thermostat/stable.channel.json");
    let offers = content.read();
    assert_eq!((versions(&offers), offers.damaged.len()), (vec!["5.0.0"], 1));
    assert!(unsure(&offers, "thermostat", three) && unsure(&offers, "thermostat", two));
    assert!(!unsure(&offers, "camera", camera));
    assert!(offers.damaged[0].why.contains("stable.channel.json"), "{:?}", offers.damaged);
}
