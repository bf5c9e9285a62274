//! The whole way of an identity, with the real tools: the signer's device CA, the server's fleet plane, and devices that
//! enrol, check in, report, renew and have themselves erased, over lines that are cut and servers that go away.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use perennial_schemas::key_file::KeyFile;
use perennial_schemas::tuf::TopRole;
use perennial_schemas::{Document, Timestamp};
use perennial_server::config::Config;
use perennial_server::server::{Running, start};
use perennial_tests::maker::{Maker, image};
use perennial_tests::simulator::day;
use serde_json::Value;
use tempfile::TempDir;

use super::kit::{Device, Ran};

const LENGTH: usize = 200_000;
/// The answer of a line that is never cut.
const WHOLE: u32 = u32::MAX;

/// A maker's desk with a device CA, and a server that trusts it.
struct Place {
    folder: TempDir,
    clock: Arc<AtomicI64>,
}

impl Place {
    fn new() -> Self {
        let place =
            Self { folder: tempfile::tempdir().unwrap(), clock: Arc::new(AtomicI64::new(day(1).unix())) };
        let words = place.path("words.txt");
        std::fs::write(&words, "correct horse battery staple\n").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&words, private).unwrap();
        place.signer(&["init", "--out", "ca", "--maker", "Example Ltd"]);

        let state = place.text("server");
        place.server(&["init", "--state", &state]);
        let key = std::fs::read(place.path("server/keys/timestamp.pub.json")).unwrap();
        let key = KeyFile::parse(&key).unwrap();
        let mut maker = Maker::new();
        maker.repository.root.keys.insert(key.keyid.clone(), key.key);
        maker.repository.top(TopRole::Timestamp).keyids.push(key.keyid);
        maker.repository.publish_root();
        std::fs::write(place.path("root.json"), maker.repository.first_root()).unwrap();
        place.server(&["init", "--state", &state, "--root", &place.text("root.json")]);
        let request = "server/keys/enrolment.csr.pem";
        place.signer(&[
            "enrolment",
            "--ca",
            "ca",
            "--request",
            request,
            "--days",
            "700",
            "--out",
            "enrolment.pem",
        ]);
        place.signer(&["revoke", "--ca", "ca", "--out", "crl.pem"]);
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(place.path("tls.pem"), made.cert.pem()).unwrap();
        std::fs::write(place.path("tls.key"), made.signing_key.serialize_pem()).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.clock.load(Ordering::SeqCst))
    }

    /// Runs a command of the device CA; arguments with a dot, and `ca`, are files of this desk.
    fn signer(&self, args: &[&str]) -> String {
        let place = |arg: &&str| -> OsString {
            if (arg.contains('.') && !arg.starts_with('-')) || *arg == "ca" {
                self.path(arg).into()
            } else {
                arg.into()
            }
        };
        let words: [OsString; 2] = ["--passphrase-file".into(), self.path("words.txt").into()];
        self.device_ca(args.iter().map(place).chain(words))
    }

    fn device_ca(&self, args: impl IntoIterator<Item = OsString>) -> String {
        let all = ["perennial-signer", "device-ca"].map(OsString::from).into_iter().chain(args);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = perennial_signer::run(
            all,
            &mut perennial_signer::Io {
                stdin: &mut io::empty(),
                stdout: &mut out,
                stderr: &mut err,
                now: Box::new(|| self.now()),
                terminal: false,
                ask: Box::new(|_| Err(io::Error::other("there is no terminal"))),
            },
        );
        assert_eq!(
            format!("{code:?}"),
            format!("{:?}", ExitCode::SUCCESS),
            "{}",
            String::from_utf8_lossy(&err)
        );
        String::from_utf8(out).unwrap()
    }

    fn server(&self, args: &[&str]) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let now = self.server_clock();
        let mut io = perennial_server::io::Io { stdout: &mut out, stderr: &mut err, now, terminal: false };
        let args = std::iter::once("perennial-server").chain(args.iter().copied()).map(Into::into);
        let code = perennial_server::run(args, &mut io);
        assert_eq!(
            format!("{code:?}"),
            format!("{:?}", ExitCode::SUCCESS),
            "{}",
            String::from_utf8_lossy(&err)
        );
    }

    fn server_clock(&self) -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
        let clock = Arc::clone(&self.clock);
        Arc::new(move || Timestamp::from_unix(clock.load(Ordering::SeqCst)))
    }

    fn serve(&self) -> Running {
        let text = format!(
            "state = {:?}\n[serve]\nplain = [\"127.0.0.1:0\"]\n[tls]\ncertificate = {:?}\nkey = {:?}\n[admin]\nlisten = \"\"\n\
             [fleet]\ntls = [\"127.0.0.1:0\"]\nca = {:?}\nenrolment_certificate = {:?}\nrevocations = {:?}\n\
             rate = 1000\nburst = 1000\n",
            self.text("server"),
            self.text("tls.pem"),
            self.text("tls.key"),
            self.text("ca/ca.pem"),
            self.text("enrolment.pem"),
            self.text("crl.pem"),
        );
        let mut config = Config::parse("test.toml", &text).unwrap();
        config.serve.cores = 1;
        start(&config, self.server_clock()).unwrap()
    }

    /// Devices from the factory line: a key made on each, all requests in one file, one batch of certificates, brought to
    /// each whole.
    fn factory(&self, maker: &Maker, count: usize, batch: &str, server: &str) -> Vec<(Device, PathBuf)> {
        let devices: Vec<_> = (0..count).map(|_| Device::with_folder(maker)).collect();
        let mut requests = String::new();
        for (device, _) in &devices {
            let ca = self.text("tls.pem");
            device.configure(|text| format!("{text}\n[fleet]\nserver = {server:?}\nca = {ca:?}\n"));
            device.run(&["identity", "new"]).ok();
            requests += &device.run(&["identity", "request"]).ok();
        }
        std::fs::write(self.path(&format!("{batch}.csr.pem")), requests).unwrap();
        let (requests, out) = (format!("{batch}.csr.pem"), format!("{batch}.pem"));
        #[rustfmt::skip]
        self.signer(&[
            "issue", "--ca", "ca", "--requests", &requests, "--product", "thermostat", "--hardware", "revC",
            "--label", "ring=canary", "--years", "20", "--out", &out,
        ]);
        for (device, _) in &devices {
            device.run(&["identity", "install", &self.text(&out)]).ok();
        }
        devices
    }

    fn later(&self, devices: &mut [(Device, PathBuf)], days: i64) {
        self.clock.fetch_add(days * 86_400, Ordering::SeqCst);
        devices.iter_mut().for_each(|(device, _)| device.clock = self.now());
    }
}

/// A line between a device and the server that can be cut: after so many turns of the talk, nothing of the server's comes
/// through any more, and a moment later it is over.
struct Line {
    address: SocketAddr,
    turns: Arc<AtomicU32>,
    cuts: Arc<AtomicU32>,
    to: Arc<std::sync::Mutex<Option<SocketAddr>>>,
}

impl Line {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let line = Self {
            address: listener.local_addr().unwrap(),
            turns: Arc::new(AtomicU32::new(WHOLE)),
            cuts: Arc::default(),
            to: Arc::default(),
        };
        let (turns, to, cuts) = (Arc::clone(&line.turns), Arc::clone(&line.to), Arc::clone(&line.cuts));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (turns, to) = (turns.load(Ordering::SeqCst), *to.lock().unwrap());
                if let Some(server) = to.and_then(|to| TcpStream::connect(to).ok()) {
                    let cuts = Arc::clone(&cuts);
                    std::thread::spawn(move || relay(stream, server, turns, &cuts));
                }
            }
        });
        line
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    fn leads_to(&self, server: Option<&Running>) {
        *self.to.lock().unwrap() = server.map(|server| server.fleet_tls[0]);
    }
}

/// Carries both ways. A turn is each time that the device talks after the server did.
fn relay(device: TcpStream, server: TcpStream, turns: u32, cuts: &AtomicU32) {
    let talking = Arc::new(AtomicU32::new(0));
    let (mut from, mut to) = (device.try_clone().unwrap(), server.try_clone().unwrap());
    let counted = Arc::clone(&talking);
    let up = std::thread::spawn(move || {
        let mut buffer = [0; 16_384];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            // Odd: the device talks.
            let now = counted.load(Ordering::SeqCst);
            counted.store(now + (now + 1) % 2, Ordering::SeqCst);
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let (mut from, mut to) = (server.try_clone().unwrap(), device.try_clone().unwrap());
    let mut buffer = [0; 16_384];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let now = talking.load(Ordering::SeqCst);
        // What the device asked has been answered, and so it was done; the answer is lost.
        if now.div_ceil(2) > turns {
            cuts.fetch_add(1, Ordering::SeqCst);
            break;
        }
        talking.store(now + now % 2, Ordering::SeqCst);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = device.shutdown(std::net::Shutdown::Both);
    let _ = server.shutdown(std::net::Shutdown::Both);
    up.join().unwrap();
}

fn json(ran: Ran) -> Value {
    serde_json::from_str(&ran.ok()).unwrap()
}

/// What the server holds on a device.
fn held(device: &Device) -> Value {
    json(device.run(&["data"]))
}

fn publish(maker: &mut Maker, devices: &[(Device, PathBuf)], version: &str, number: u32) {
    maker.release(version, number, &image(&format!("GOOD {number}"), LENGTH));
    devices.iter().for_each(|(_, folder)| maker.write(folder));
}

/// Updates twice: the second time the new release has booted, and is confirmed.
fn update(device: &Device) {
    device.run(&["update"]).ok();
    device.run(&["update"]).ok();
}

#[test]
fn devices_from_the_factory_enrol_by_themselves_and_everything_is_told_once() {
    let (place, line) = (Place::new(), Line::new());
    let mut maker = Maker::new();
    maker.release("1.0.0", 1, &image("GOOD 1", LENGTH));
    let mut devices = place.factory(&maker, 2, "first", &line.url());
    // No fleet server far and wide: updates go on as ever.
    update(&devices[0].0);
    assert_eq!(devices[0].0.running(), "1.0.0");
    let trouble = json(devices[0].0.run(&["identity", "show", "--json"]));
    assert!(trouble["trouble"].as_str().unwrap().contains("does not answer"), "{trouble}");
    let (what, _) = devices[0].0.run(&["report"]).refused(1);
    assert!(what.contains("the fleet server does not answer"), "{what}");

    let running = place.serve();
    line.leads_to(Some(&running));
    let reported = json(devices[0].0.run(&["report", "--json"]));
    assert_eq!((&reported["enrolled"], &reported["checked_in"]), (&1.into(), &true.into()));
    assert_eq!(reported["sent"], 3, "started, installed, confirmed");
    let first = held(&devices[0].0);
    assert_eq!(first["device"], json(devices[0].0.run(&["identity", "show", "--json"]))["device"]);
    assert_eq!((&first["standing"], &first["last_sequence"]), (&"enrolled".into(), &3.into()));
    assert_eq!(
        (&first["labels"][0], &first["check_in"]["version"]),
        (&"ring=canary".into(), &"1.0.0".into())
    );

    // The agent does it by itself, and each line that is cut, wherever, costs nothing.
    for (number, turns) in (2..).zip([1, 2, 3, 4, 5, 6]) {
        publish(&mut maker, &devices, &format!("{number}.0.0"), number);
        place.later(&mut devices, 1);
        line.turns.store(turns, Ordering::SeqCst);
        devices.iter().for_each(|(device, _)| update(device));
        line.turns.store(WHOLE, Ordering::SeqCst);
        place.later(&mut devices, 1);
        for (device, _) in &devices {
            device.run(&["report"]).ok();
            let held = held(device);
            // Three of each release; the second device never had the first one.
            let last = u64::from(number - u32::from(held["device"] != first["device"])) * 3;
            assert_eq!(held["standing"], "enrolled", "cut after {turns} turns: {}", held["flags"]);
            let told = (held["last_sequence"].as_u64(), held["gaps"].as_u64(), held["reports"].as_u64());
            assert_eq!(told, (Some(last), Some(0), Some(last)), "cut after {turns} turns");
            assert_eq!(held["check_in"]["version"], format!("{number}.0.0"));
        }
    }
    let cuts = line.cuts.load(Ordering::SeqCst);
    assert!(cuts >= 6, "only {cuts} lines were cut");
    // A server that is restarted knows everything that it acknowledged.
    let before = held(&devices[1].0);
    running.stop();
    let running = place.serve();
    line.leads_to(Some(&running));
    let after = held(&devices[1].0);
    assert_eq!((&before["events"], &before["epoch"]), (&after["events"], &after["epoch"]));
    running.stop();
}

#[test]
fn certificates_are_renewed_in_time_and_after_it_and_revoked_ones_are_not() {
    let (place, line) = (Place::new(), Line::new());
    let mut maker = Maker::new();
    maker.release("1.0.0", 1, &image("GOOD 1", LENGTH));
    let mut devices = place.factory(&maker, 2, "first", &line.url());
    let running = place.serve();
    line.leads_to(Some(&running));
    for (device, _) in &devices {
        update(device);
    }
    let since = |device: &Device| json(device.run(&["identity", "show", "--json"]))["enrolled"].clone();
    let first = since(&devices[0].0);
    // Two thirds of 90 days.
    place.later(&mut devices, 61);
    devices[0].0.run(&["report"]).ok();
    let second = since(&devices[0].0);
    assert_ne!(first["since"], second["since"]);
    assert_eq!(second["epoch"], 1);
    // Long after its end: the other device slept for 300 days.
    place.later(&mut devices, 239);
    let reported = json(devices[1].0.run(&["report", "--json"]));
    assert_eq!((reported.get("enrolled"), &reported["checked_in"]), (None, &true.into()));
    let held_now = held(&devices[1].0);
    assert_eq!((&held_now["standing"], &held_now["epoch"]), (&"enrolled".into(), &1.into()));
    // Its clock fell back by years: it can't know that its certificate has expired, and is told.
    place.later(&mut devices, 120);
    let right = devices[1].0.clock;
    devices[1].0.clock = day(1);
    devices[1].0.run(&["report"]).ok();
    devices[1].0.clock = right;
    assert_eq!(held(&devices[1].0)["epoch"], 1);

    // Revoked by the maker: neither its certificate nor a new one opens anything.
    let batch = place.text("first.pem");
    let shown = json(devices[0].0.run(&["identity", "show", "--json"]));
    let listed: Value =
        serde_json::from_str(&place.device_ca(["show", &batch, "--json"].map(OsString::from))).unwrap();
    let listed = listed["certificates"].as_array().unwrap();
    let serial =
        listed.iter().find(|one| one["subject"] == shown["device"]).unwrap()["serial"].as_str().unwrap();
    place.signer(&["revoke", "--ca", "ca", "--serial", serial, "--out", "crl.pem"]);
    running.stop();
    let running = place.serve();
    line.leads_to(Some(&running));
    for command in [&["report"][..], &["enrol"], &["data"]] {
        let (what, hint) = devices[0].0.run(command).refused(1);
        assert!(what.contains("(revoked)") && hint.contains("taken back"), "{command:?}: {what}");
    }
    devices[1].0.run(&["report"]).ok();
    // Updates go on.
    publish(&mut maker, &devices, "2.0.0", 2);
    running.stop();
}

#[test]
fn an_owner_sees_erases_and_consents_and_a_copy_is_noticed() {
    let (place, line) = (Place::new(), Line::new());
    let mut maker = Maker::new();
    maker.release("1.0.0", 1, &image("GOOD 1", LENGTH));
    let mut devices = place.factory(&maker, 2, "first", &line.url());
    let running = place.serve();
    line.leads_to(Some(&running));
    for (device, _) in &devices {
        device.configure(|text| format!("{text}attributes = {{ \"room\" = \"hall\" }}\n"));
        update(device);
    }
    let device = &devices[0].0;
    // What is optional is not told before the owner says so, and is forgotten when the owner takes it back.
    assert_eq!(held(device)["check_in"]["attributes"], serde_json::json!({}));
    device.run(&["consent", "give"]).ok();
    device.run(&["report"]).ok();
    assert_eq!(held(device)["check_in"]["attributes"]["room"], "hall");
    device.run(&["consent", "withdraw"]).ok();
    device.run(&["report"]).ok();
    assert_eq!(held(device)["check_in"]["attributes"], serde_json::json!({}));
    // Erased means erased, and silent.
    let (what, hint) = device.run(&["erase"]).refused(1);
    assert!(what.contains("nothing was erased") && hint.contains("--yes"), "{what}");
    let receipt = json(device.run(&["erase", "--yes", "--json"]));
    assert_eq!(
        (&receipt["format"], &receipt["erased"]["reports"]),
        (&"perennial.erasure/1".into(), &3.into())
    );
    let (what, hint) = device.run(&["report"]).refused(1);
    assert!(what.contains("erased at its owner's wish") && hint.contains("enrol"), "{what}");
    for again in [&["data"][..], &["erase", "--yes"]] {
        let (what, hint) = device.run(again).refused(1);
        assert!(what.contains("erased at its owner's wish") && hint.contains("enrol"), "{what}");
    }
    place.later(&mut devices, 5);
    let device = &devices[0].0;
    update(device);
    assert!(device.run(&["identity", "show"]).ok().contains("nothing is told since then"));
    device.run(&["enrol"]).ok();
    device.run(&["report"]).ok();
    assert_eq!(held(device)["standing"], "enrolled");

    // A copy of a whole device: both go on, and the server sees that they are two.
    let original = &devices[1].0;
    let copy = Device::with_folder(&maker).0;
    std::fs::remove_dir_all(copy.path("state")).unwrap();
    copy_folder(&original.path("state"), &copy.path("state"));
    let ca = place.text("tls.pem");
    copy.configure(|text| format!("{text}\n[fleet]\nserver = {:?}\nca = {ca:?}\n", line.url()));
    for device in [original, &copy, original, &copy, original] {
        let ran = device.run(&["report"]);
        assert!(ran.code == 0, "{}", ran.err);
    }
    let held = held(original);
    assert_eq!(held["standing"], "quarantined");
    assert!(held["flags"]["ticket-forked"]["count"].as_u64() >= Some(1), "{}", held["flags"]);
    running.stop();
}

/// A device without a network signs what it has; another one carries it. Whatever the gateway changes counts for nothing.
#[test]
fn a_gateway_carries_what_a_device_signed_and_can_change_nothing() {
    let (place, line) = (Place::new(), Line::new());
    let mut maker = Maker::new();
    maker.release("1.0.0", 1, &image("GOOD 1", LENGTH));
    let devices = place.factory(&maker, 2, "first", &line.url());
    let running = place.serve();
    line.leads_to(Some(&running));
    devices.iter().for_each(|(device, _)| drop(device.run(&["enrol"]).ok()));
    let (gateway, quiet) = (&devices[0].0, &devices[1].0);
    line.leads_to(None);
    update(quiet);
    let queue = json(quiet.run(&["report", "--sign"]));
    line.leads_to(Some(&running));
    let mut changed = queue.clone();
    changed["reports"] = queue["reports"].as_str().unwrap().replace("1.0.0", "9.0.0").into();
    let mut unsigned = queue.clone();
    unsigned.as_object_mut().unwrap().remove("signature");
    let batch = serde_json::json!({
        "format": "perennial.report-batch/1", "requires": [], "queues": [changed, unsigned, queue],
    });
    let answers = carry(&place, &line, gateway, &batch);
    assert_eq!((&answers[0]["code"], &answers[1]["code"]), (&"not-signed".into(), &"not-signed".into()));
    assert_eq!(answers[2]["acknowledged"], 3, "{answers}");
    // The answer of another queue is none of this device's.
    let file = place.path("answer.json");
    std::fs::write(&file, answers[0].to_string()).unwrap();
    let answered = ["report", "--answered", file.to_str().unwrap()];
    assert!(quiet.run(&answered).refused(1).0.contains("(not-signed)"));
    std::fs::write(&file, answers[2].to_string()).unwrap();
    assert!(gateway.run(&answered).refused(1).0.contains("another device"));
    quiet.run(&answered).ok();
    assert!(quiet.run(&["report", "--sign"]).refused(1).0.contains("nothing to carry"));
    let held = held(quiet);
    assert_eq!((&held["last_sequence"], &held["standing"]), (&3.into(), &"enrolled".into()));
    running.stop();
}

/// Sends a batch as that device does.
fn carry(place: &Place, line: &Line, gateway: &Device, batch: &Value) -> Value {
    use perennial_device::fleet::certificate::read_chain;
    use perennial_device::fleet::key::DeviceKey;
    use perennial_device::http::{ClientIdentity, Exchange, HttpClient, HttpOptions, Roots, Url};
    let folder = gateway.path("state/identity");
    let record: Value = serde_json::from_slice(&std::fs::read(folder.join("fleet.json")).unwrap()).unwrap();
    let chain = read_chain(record["membership"]["chain"].as_str().unwrap().as_bytes()).unwrap();
    let key = DeviceKey::from_pem(&std::fs::read(folder.join("fleet.key")).unwrap()).unwrap().pkcs8();
    let roots = Roots::File(place.path("tls.pem"));
    let identity = Some(Arc::new(ClientIdentity { chain, key }));
    let client = HttpClient::new(HttpOptions { roots, identity, ..HttpOptions::default() }).unwrap();
    let url: Url = line.url().parse().unwrap();
    let (url, body) = (url.file("v1/reports/batch"), batch.to_string());
    let sent = client
        .send(Exchange { method: "POST", url: &url, body: body.as_bytes(), max_length: 1 << 20 })
        .unwrap();
    assert_eq!(sent.status, 200, "{}", String::from_utf8_lossy(&sent.body));
    serde_json::from_slice::<Value>(&sent.body).unwrap()["answers"].clone()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy_folder(&from, &to) } else { std::fs::copy(&from, &to).map(drop).unwrap() }
    }
}
