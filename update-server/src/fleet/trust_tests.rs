use super::count::Count;
use super::desk::{self, Filter};
use super::identity::IdentityError;
use super::lists::{self, ByMaker};
use super::releases::Releases;
use super::row::{Row, Standing};
use super::testkit::{Device, Maker, ca_params, date, leaf_params, name_of, now};
use super::trust::{Files, Trust};
use crate::disk;
use crate::store::{Batch, Space, Store};
use perennial_schemas::fleet::{DeviceId, Kind};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use std::sync::Arc;

fn refused(maker: &Maker, device: &Device) -> String {
    maker.trust.identify(&device.chain, now()).unwrap_err().to_string()
}

#[test]
fn a_factory_certificate_names_its_device_and_so_does_a_fleet_certificate() {
    let maker = Maker::new();
    let factory = maker.factory(1, |_| {});
    let identity = maker.identify(&factory);
    assert_eq!(identity.name, name_of(&factory.key, Kind::Factory));
    assert_eq!(identity.serial, [1; 16]);
    let (fleet, credential) = maker.fleet(&identity, now());
    let renewed = maker.identify(&fleet);
    assert_eq!(renewed.name.device, identity.name.device);
    assert_eq!((renewed.name.kind, &renewed.name.labels), (Kind::Fleet, &identity.name.labels));
    assert_eq!((&renewed.serial, renewed.key), (&credential.serial, credential.key));
    assert_eq!(renewed.not_after, now().plus_days(90));
    assert!(maker.trust.leads_here(&fleet.chain, now()).is_ok());
}

#[test]
fn an_expired_certificate_is_known_and_told_apart() {
    let maker = Maker::new();
    let factory = maker.identify(&maker.factory(1, |_| {}));
    let (fleet, _) = maker.fleet(&factory, now());
    let later = now().plus_days(91);
    assert!(maker.trust.identify(&fleet.chain, later).unwrap().expired(later));
    // Even when the enrolment CA's time is over too.
    let much_later = now().plus_days(5000);
    assert!(maker.trust.identify(&fleet.chain, much_later).unwrap().expired(much_later));
    assert!(!maker.trust.identify(&fleet.chain, now()).unwrap().expired(now()));
}

#[test]
fn a_servers_clock_that_is_a_day_behind_locks_nobody_out_and_one_of_years_says_why() {
    let maker = Maker::new();
    let factory = maker.factory(1, |params| params.not_before = date(now()));
    assert!(maker.trust.identify(&factory.chain, now().plus_days(-1)).is_ok());
    let years = maker.trust.identify(&factory.chain, now().plus_days(-700)).unwrap_err();
    assert!(matches!(years, IdentityError::NotYet(_)), "{years}");
}

#[test]
fn certificates_of_another_ca_are_refused_in_the_handshake() {
    let (maker, stranger) = (Maker::new(), Maker::new());
    let device = stranger.factory(1, |_| {});
    assert!(refused(&maker, &device).contains("doesn't lead to this server's device CA"));
    assert!(maker.trust.leads_here(&device.chain, now()).is_err());
    let (fleet, _) = stranger.fleet(&stranger.identify(&device), now());
    assert!(refused(&maker, &fleet).contains("doesn't lead"));
    // The chain can't be stretched with the true CA's enrolment certificate.
    let stretched = Device { chain: vec![fleet.chain[0].clone(), maker.enrolment.clone()], ..fleet };
    assert!(refused(&maker, &stretched).contains("doesn't lead"));
    assert!(maker.trust.identify(&[], now()).is_err());
    let long = Device { chain: vec![device.chain[0].clone(); 5], ..device };
    assert!(refused(&maker, &long).contains("longer than a device's is"));
}

#[test]
fn certificates_with_odd_names_are_refused() {
    let maker = Maker::new();
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let bent = |change: &dyn Fn(&mut CertificateParams)| {
        let device = maker.factory(1, |params| change(params));
        // Told in words: the handshake goes through where the path is right.
        refused(&maker, &device)
    };
    let said =
        bent(&|params| params.subject_alt_names.push(SanType::DnsName("a.example".try_into().unwrap())));
    assert!(said.contains("names that are no URIs"), "{said}");
    assert!(
        bent(&|params| params.subject_alt_names.push(uri("perennial:admin/yes")))
            .contains("no name of a device")
    );
    assert!(bent(&|params| params.subject_alt_names.push(uri("perennial:kind/fleet"))).contains("twice"));
    assert!(bent(&|params| drop(params.subject_alt_names.remove(1))).contains("product is missing"));
    assert!(bent(&|params| params.subject_alt_names.swap(0, 1)).contains("not in their order"));
    assert!(bent(&|params| params.subject_alt_names.clear()).contains("names nobody"));
    let said = bent(&|params| params.distinguished_name.push(rcgen::DnType::OrganizationName, "Evil"));
    assert!(said.contains("subject is not the device's id alone"), "{said}");
    // A device that is named after another one's key.
    let other = maker.factory(2, |_| {});
    let said = bent(&|params| *params = leaf_params(&name_of(&other.key, Kind::Factory), 1));
    assert!(said.contains("isn't made from its factory key"), "{said}");
}

#[test]
fn certificates_of_the_wrong_use_are_refused() {
    let maker = Maker::new();
    let bent =
        |change: &dyn Fn(&mut CertificateParams)| refused(&maker, &maker.factory(1, |params| change(params)));
    let said = bent(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert!(said.contains("doesn't lead") || said.contains("extended key usage"), "{said}");
    assert!(bent(&|params| params.extended_key_usages.clear()).contains("extended key usage"));
    let both = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    assert!(bent(&|params| params.extended_key_usages = both.clone()).contains("extended key usage"));
    assert!(bent(&|params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement]).contains("key usage"));
    let said = bent(&|params| params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    assert!(said.contains("CA"), "{said}");
}

#[test]
fn a_servers_stolen_key_makes_no_factory_certificates_and_the_device_ca_no_fleet_certificates() {
    let maker = Maker::new();
    let key = KeyPair::generate().unwrap();
    let stolen = crate::disk::read(&maker.folder.path().join("enrolment.key"), 4096).unwrap();
    let stolen = KeyPair::try_from(stolen.as_slice()).unwrap();
    let issuer = Issuer::from_ca_cert_der(&maker.enrolment, stolen).unwrap();
    let forged = leaf_params(&name_of(&key, Kind::Factory), 9).signed_by(&key, &issuer).unwrap();
    let forged = Device { key, chain: vec![forged.der().clone(), maker.enrolment.clone()] };
    assert!(refused(&maker, &forged).contains("signed by the device CA itself"));
    let odd = maker.factory(1, |params| {
        params.subject_alt_names.pop();
        params.subject_alt_names.push(SanType::URI("perennial:kind/fleet".try_into().unwrap()));
    });
    assert!(refused(&maker, &odd).contains("signed by an enrolment CA"));
    // Nor a CA below itself.
    let (key, below) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let params = ca_params("below");
    let ca = params.signed_by(&below, &issuer).unwrap();
    let leaf = leaf_params(&name_of(&key, Kind::Fleet), 9);
    let leaf = leaf.signed_by(&key, &Issuer::new(params, below)).unwrap();
    let chain = vec![leaf.der().clone(), ca.der().clone(), maker.enrolment.clone()];
    assert!(refused(&maker, &Device { key, chain }).contains("doesn't lead"));
}

#[test]
fn revoked_factory_certificates_and_enrolment_cas_are_refused_when_the_list_is_read_again() {
    let maker = Maker::new();
    let (one, two) = (maker.factory(1, |_| {}), maker.factory(2, |_| {}));
    let (fleet, _) = maker.fleet(&maker.identify(&one), now());
    let list = maker.revoke(&[1], &maker.issuer);
    let files = Files { ca: maker.folder.path().join("ca.pem"), revocations: Some(list) };
    let trust = Trust::load(files).unwrap();
    let refused =
        |device: &Device| matches!(trust.identify(&device.chain, now()), Err(IdentityError::Revoked));
    assert_eq!((refused(&one), refused(&two), refused(&fleet)), (true, false, false));
    assert!(trust.is_revoked(&[1; 16]));
    assert!(trust.leads_here(&one.chain, now()).is_ok(), "it is told in words");
    assert!(!trust.reload(false).unwrap());
    maker.revoke(&[2, 200], &maker.issuer);
    assert!(trust.reload(false).unwrap());
    let said = |device: &Device| trust.identify(&device.chain, now()).map(drop);
    assert_eq!(said(&one), Ok(()));
    assert_eq!(said(&two), Err(IdentityError::Revoked));
    assert_eq!(said(&fleet), Err(IdentityError::IssuerRevoked), "its device enrols anew");
    assert_eq!(trust.revocations(), (2, Some(now().plus_days(30))));
    // A list by anybody else isn't read, and the one before stays.
    maker.revoke(&[1], &Maker::new().issuer);
    assert!(trust.reload(false).unwrap_err().to_string().contains("the device CA didn't sign"));
    assert!(trust.is_revoked(&[200; 16]));
}

/// What a copy that went wrong leaves in place of the list revokes nobody, and must not be taken for a list that does so.
#[test]
fn a_file_without_a_revocation_list_is_refused_and_the_one_before_stays() {
    let maker = Maker::new();
    let list = maker.revoke(&[1], &maker.issuer);
    let ca = maker.folder.path().join("ca.pem");
    let files = Files { ca: ca.clone(), revocations: Some(list.clone()) };
    let trust = Trust::load(files.clone()).unwrap();
    let certificate = disk::read(&ca, 1 << 16).unwrap();
    for odd in [&b""[..], b"\n", &certificate, b"-----BEGIN X509 CRL-----\nMIIB"] {
        disk::replace(&list, odd, 0o644).unwrap();
        for anyway in [false, true] {
            let error = trust.reload(anyway).unwrap_err().to_string();
            assert!(error.contains("crl.pem: holds no revocation list"), "{error}");
        }
        assert!(trust.is_revoked(&[1; 16]) && trust.trouble().unwrap().contains("holds no revocation list"));
        assert!(Trust::load(files.clone()).is_err(), "nor does a server start with it");
    }
    // A list that names nobody is one.
    maker.revoke(&[], &maker.issuer);
    assert!(trust.reload(false).unwrap());
    assert_eq!((trust.revocations().0, trust.trouble()), (0, None));
}

#[test]
fn an_older_revocation_list_is_refused_while_a_server_runs_and_told_after_a_restart() {
    let maker = Maker::new();
    let store =
        crate::store::FjallStore::open(&maker.folder.path().join("store"), Default::default()).unwrap();
    let list = maker.revoke_in(300, &[1], &maker.issuer);
    let files = Files { ca: maker.folder.path().join("ca.pem"), revocations: Some(list) };
    let trust = Trust::load(files.clone()).unwrap();
    lists::keep(&store, &trust.numbers()).unwrap();
    maker.revoke_in(299, &[], &maker.issuer);
    let error = trust.reload(false).unwrap_err().to_string();
    assert!(
        error.ends_with("holds an older revocation list than was in use (number 299, after 300)"),
        "{error}"
    );
    assert!(trust.is_revoked(&[1; 16]));
    let begin = || {
        let trust = Trust::load(files.clone()).unwrap();
        lists::keep(&store, &trust.numbers()).unwrap();
        trust.remembers(lists::kept(&store).unwrap());
        trust
    };
    let later = begin();
    assert!(later.trouble().unwrap().ends_with("(number 299, after 300)"), "updates go on, with an alarm");
    // The same once more, or a newer one, is in order.
    for number in [300, 301] {
        maker.revoke_in(number, &[1, 2], &maker.issuer);
        assert!(later.reload(false).unwrap());
        assert_eq!((later.revocations().0, later.trouble()), (2, None));
    }
    assert_eq!(begin().trouble(), None);
    assert_eq!(lists::kept(&store).unwrap().into_values().collect::<Vec<_>>(), [301]);
    assert_eq!((lists::number(&[1, 0]), lists::number(&[1; 17])), (256, u128::MAX));
}

#[test]
fn whom_the_makers_list_revokes_is_shown_listed_and_counted_as_revoked() {
    let maker = Maker::new();
    let store =
        crate::store::FjallStore::open(&maker.folder.path().join("store"), Default::default()).unwrap();
    let name = |number: u8| -> DeviceId { format!("d-{number}").parse().unwrap() };
    for number in [1, 2] {
        let mut row = Row::new("thermostat".parse().unwrap(), "revC".parse().unwrap(), false, now());
        row.epoch = 1;
        row.factory = Some(maker.fleet(&maker.identify(&maker.factory(number, |_| {})), now()).1);
        row.factory.as_mut().unwrap().serial = vec![number; 16];
        let device = name(number);
        store.commit(Batch::new().put(Space::Devices, device.as_str(), row.encode())).unwrap();
    }
    let list = maker.revoke(&[1], &maker.issuer);
    let files = Files { ca: maker.folder.path().join("ca.pem"), revocations: Some(list) };
    let by_maker = ByMaker(Some(Arc::new(Trust::load(files).unwrap())));
    let of = |standing| {
        let filter = Filter { standing: Some(standing), by_maker: by_maker.clone(), ..Filter::default() };
        let page = desk::list(&store, &filter, None, 10).unwrap();
        page.devices.into_iter().map(|it| it.device).collect::<Vec<_>>()
    };
    assert_eq!((of(Standing::Revoked), of(Standing::Enrolled)), (vec![name(1)], vec![name(2)]));
    let held = |number| desk::show(&store, &name(number), None, 1).unwrap().unwrap().with(&by_maker);
    assert_eq!((held(1).standing, held(2).standing), (Standing::Revoked, Standing::Enrolled));
    let explained = |number| desk::explain(&held(number), &Releases::default(), now());
    assert!(explained(1)[0].starts_with("it is revoked by the maker's list"), "{:?}", explained(1));
    assert!(!explained(2).iter().any(|why| why.contains("revoked")));
    assert_eq!(serde_json::to_value(held(1)).unwrap()["revoked_by_maker"], true);
    assert!(serde_json::to_value(held(2)).unwrap().get("revoked_by_maker").is_none());
    let mut count = Count::new(by_maker);
    while !count.step(&store).unwrap() {}
    assert_eq!(count.counted.by, [(Standing::Enrolled, 1), (Standing::Revoked, 1)].into());
}
