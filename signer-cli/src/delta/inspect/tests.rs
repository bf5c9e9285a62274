use super::*;
use crate::delta::make::{Settings, identity as named, make};

/// Two tar archives of three files, of which the second one has another middle; and what turns one into the other.
fn archives() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let noise = |seed: u64| {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..20_000).map(|_| random.u8(..)).collect::<Vec<u8>>()
    };
    let archive = |changed: &[u8]| {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, mut content) in [("a/first", noise(1)), ("a/second", noise(2)), ("b/third", noise(3))] {
            if path == "a/second" {
                content[9_000..9_000 + changed.len()].copy_from_slice(changed);
            }
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, &content[..]).unwrap();
        }
        builder.into_inner().unwrap()
    };
    let (old, new) = (archive(&[]), archive(&noise(4)[..3_000]));
    let delta = make(&old, &new, &Settings::default(), &Default::default()).unwrap();
    (old, new, delta)
}

#[test]
fn what_a_file_costs_is_told_under_its_name() {
    let (old, _, delta) = archives();
    let inspection = inspect(&delta, Some(&old.as_slice()), &Default::default()).unwrap();
    let shares: Vec<(&str, u64)> =
        inspection.files.iter().map(|share| (share.name.as_str(), share.bytes)).collect();
    assert!(matches!(shares[0], ("a/second", 2_950..=3_100)), "{shares:?}");
    assert!(shares.len() == 4 && shares[1..].iter().all(|(_, bytes)| *bytes < 50), "{shares:?}");
    assert!(inspection.sections.is_empty());
}

#[test]
fn a_delta_is_refused_that_does_not_make_what_it_names_or_is_made_from_something_else() {
    let (mut old, new, mut delta) = archives();
    let digest = named(&new).digest;
    let at = memchr::memmem::find(&delta, &digest).unwrap();
    delta[at] ^= 1;
    assert!(matches!(inspect(&delta, Some(&old.as_slice()), &Default::default()), Err(ApplyError::OtherNew)));
    delta[at] ^= 1;
    old[0] ^= 1;
    assert!(matches!(inspect(&delta, Some(&old.as_slice()), &Default::default()), Err(ApplyError::OtherOld)));
}

#[test]
fn one_step_is_no_steps() {
    let (old, ..) = archives();
    let delta = make(&old, &old, &Settings::default(), &Default::default()).unwrap();
    let told = inspect(&delta, None, &Default::default()).unwrap().to_string();
    assert!(told.contains("The new image in 1 step:\n"), "{told}");
}
