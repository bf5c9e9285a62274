//! The device CA's commands: from requests of a factory line to certificates, an enrolment CA and a revocation list.

use rcgen::{CertificateParams, KeyPair};

use super::desk::Desk;

fn request() -> String {
    CertificateParams::default().serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

#[test]
fn a_factory_line_end_to_end() {
    let desk = Desk::new();
    desk.write("words.txt", "correct horse battery staple\n");
    desk.protect("words.txt");
    let at = |name: &str| desk.path(name).display().to_string();
    let ca = at("ca");
    let made =
        desk.ok(&format!("device-ca init --out {ca} --maker \"Example Ltd\" --passphrase-file words.txt"));
    assert!(made.starts_with("Made Example Ltd device CA, good until 21 November 2056\n"), "{made}");
    let refused =
        desk.refused(&format!("device-ca init --out {ca} --maker Other --passphrase-file words.txt"));
    assert!(refused.contains("holds a device CA already\nhint: choose another folder"), "{refused}");

    desk.write("requests.pem", &[request(), request(), request()].concat());
    let issue = |requests: &str, out: &str, more: &str| {
        format!(
            "device-ca issue --ca {ca} --requests {requests} --product thermostat --hardware revC --years 20 \
             --out {} --passphrase-file words.txt {more}",
            at(out)
        )
    };
    let issued = desk.ok(&issue("requests.pem", "one.pem", "--label staff --label ring=canary --json"));
    let issued: serde_json::Value = serde_json::from_str(&issued).unwrap();
    assert_eq!((issued["count"].as_u64(), issued["until"].as_str()), (Some(3), Some("2046-11-21T23:59:59Z")));
    assert_eq!(issued["labels"], serde_json::json!(["ring=canary", "staff"]));
    let shown: serde_json::Value = serde_json::from_str(&desk.ok("device-ca show one.pem --json")).unwrap();
    for (shown, issued) in
        shown["certificates"].as_array().unwrap().iter().zip(issued["issued"].as_array().unwrap())
    {
        assert_eq!((&shown["serial"], &shown["subject"]), (&issued["serial"], &issued["device"]));
        assert_eq!(shown["names"][5], "perennial:kind/factory");
    }
    let refused = desk.refused(&issue("requests.pem", "two.pem", ""));
    let expected = "request 1: its key has had certificate";
    assert!(refused.contains(expected) && refused.contains("hint: nothing was issued"), "{refused}");
    assert!(desk.refused(&issue("requests.pem", "one.pem", "")).contains("one.pem exists already"));
    let odd = desk.refused(&issue("requests.pem", "two.pem", "--label Staff"));
    assert!(odd.contains("Staff"), "{odd}");

    desk.write("enrolment.csr.pem", &request());
    let enrolment = desk.ok(&format!(
        "device-ca enrolment --ca {ca} --request enrolment.csr.pem --out {} --passphrase-file words.txt",
        at("enrolment.pem")
    ));
    assert!(enrolment.contains("good until 21 November 2027"), "{enrolment}");
    assert!(desk.ok("device-ca show enrolment.pem").starts_with("CA Example Ltd enrolment CA "));

    let serial = issued["issued"][1]["serial"].as_str().unwrap();
    let revoke = format!("device-ca revoke --ca {ca} --out {} --passphrase-file words.txt", at("crl.pem"));
    let list = desk.ok(&format!("{revoke} --serial {serial} --reason key-compromise"));
    assert!(list.contains("revoked  1, of which 1 are new"), "{list}");
    assert!(desk.ok("device-ca show crl.pem").contains(&format!("revoked  {serial}")));
    let list = desk.ok(&format!("{revoke} --certificates one.pem --reason ceased"));
    assert!(list.contains("revoked  3, of which 2 are new"), "{list}");
    let refused = desk.refused(&format!("{revoke} --serial 1234"));
    assert!(refused.starts_with("error: this CA has issued no certificate 1234\nhint: "), "{refused}");
    let refused = desk.refused(&format!("device-ca revoke --ca {} --out x.pem", at("nowhere")));
    assert!(refused.contains("holds no device CA: ca.key is missing"), "{refused}");
    desk.write("page.html", "<p>no certificate</p>\n");
    assert!(desk.ok("device-ca show page.html").contains("no certificate, no request"));
}
