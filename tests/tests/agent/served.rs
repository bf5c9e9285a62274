//! The whole way, with the real server over TLS: a bundle goes in, and a device updates from what is served.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use perennial_schemas::key_file::KeyFile;
use perennial_schemas::tuf::TopRole;
use perennial_schemas::{Document, Timestamp};
use perennial_server::config::Config;
use perennial_server::server::start;
use perennial_tests::maker::{Maker, image};
use perennial_tests::simulator::day;

use super::kit::{Device, run};

const LENGTH: usize = 1_500_000;

/// The server's clock.
fn now() -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
    Arc::new(|| day(1))
}

fn server(args: &[&str]) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut io = perennial_server::io::Io { stdout: &mut out, stderr: &mut err, now: now(), terminal: false };
    let code = perennial_server::run(
        std::iter::once("perennial-server").chain(args.iter().copied()).map(Into::into),
        &mut io,
    );
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS), "{}", String::from_utf8_lossy(&err));
}

/// Writes the maker's bundle without a timestamp, as the server signs its own.
fn write_bundle(maker: &Maker, path: &Path) {
    let mut files = maker.files();
    files.remove("metadata/timestamp.json");
    std::fs::write(path, perennial_tests::maker::bundle(&files)).unwrap();
}

#[test]
fn a_device_updates_from_the_real_server_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (state, root, bundle) = (path("server"), path("root.json"), path("maker.bundle"));
    server(&["init", "--state", &state]);
    let key = std::fs::read(folder.path().join("server/keys/timestamp.pub.json")).unwrap();
    let key = KeyFile::parse(&key).unwrap();

    let mut maker = Maker::new();
    maker.repository.root.keys.insert(key.keyid.clone(), key.key);
    maker.repository.top(TopRole::Timestamp).keyids.push(key.keyid);
    maker.repository.publish_root();
    let images = [image("GOOD 1", LENGTH), image("GOOD 2", LENGTH)];
    maker.release("1.0.0", 1, &images[0]);
    std::fs::write(&root, maker.repository.first_root()).unwrap();
    server(&["init", "--state", &state, "--root", &root]);

    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(path("tls.pem"), made.cert.pem()).unwrap();
    std::fs::write(path("tls.key"), made.signing_key.serialize_pem()).unwrap();
    let text = format!(
        "state = {state:?}\n[serve]\nplain = []\ntls = [\"127.0.0.1:0\"]\n[tls]\ncertificate = {:?}\nkey = {:?}\n[admin]\nlisten = \"\"\n",
        path("tls.pem"),
        path("tls.key"),
    );
    let mut config = Config::parse("test.toml", &text).unwrap();
    config.serve.cores = 1;
    let running = start(&config, now()).unwrap();
    write_bundle(&maker, Path::new(&bundle));
    server(&["ingest", &bundle, "--state", &state]);

    let device = Device::new(&maker, &format!("https://localhost:{}", running.tls[0].port()));
    let ca = path("tls.pem");
    device.configure(|text| text.replace("#ca = ", &format!("ca = {ca:?} #")));
    device.run(&["update"]).ok();
    assert_eq!(device.slot("b"), images[0]);
    device.run(&["update"]).ok();

    maker.release("2.0.0", 2, &images[1]);
    write_bundle(&maker, Path::new(&bundle));
    server(&["ingest", &bundle, "--state", &state]);
    device.configure(|text| text.replace("staging = true", "staging = false"));
    device.run(&["update"]).ok();
    assert_eq!(device.slot("a"), images[1]);
    assert_eq!(device.status()["anti_rollback_counter"], 2);

    // Anybody may compare the page with what was signed, knowing nothing but the root.
    let page = format!("https://localhost:{}/support/thermostat", running.tls[0].port());
    for page in [page.clone(), format!("{page}/summary.json")] {
        let args = ["perennial-device", "support", "verify", &page, "--root", &root, "--ca", &ca];
        let said = run(args.map(Into::into), day(1)).ok();
        assert!(said.contains("Same: the page says what the maker signed, in every field."), "{said}");
        let said = run(args.map(Into::into), day(8)).ends(20);
        assert!(said.contains("the day: the page says how things stood on 2 November 2026"), "{said}");
    }
    running.stop();
}
