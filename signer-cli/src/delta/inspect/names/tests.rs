mod hostile;
mod made;

use super::*;

/// Every cut of an image is read without harm, and no file of it is past its end.
fn cuts_do_no_harm(image: &[u8]) {
    for cut in (0..image.len()).step_by(509) {
        let image = &image[..cut];
        let (Named::Files(places) | Named::Sections(places)) = of(&image);
        let ends = places.iter().flat_map(|place| place.ranges.iter().map(|range| range.end));
        assert!(ends.max().unwrap_or(0) <= cut as u64, "{places:?}");
    }
}

fn contents(image: &[u8], places: &[Place]) -> Vec<(String, Vec<u8>)> {
    let bytes = |range: &Range<u64>| &image[range.start as usize..range.end as usize];
    let content = |place: &Place| place.ranges.iter().flat_map(bytes).copied().collect();
    places.iter().map(|place| (place.name.clone(), content(place))).collect()
}

#[test]
fn this_test_has_a_text_section() {
    let image = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let Named::Sections(found) = of(&image.as_slice()) else { panic!() };
    assert!(found.iter().any(|place| place.name == ".text" && place.ranges[0].end > place.ranges[0].start));
    // Cut anywhere it is no reason to fail.
    for cut in [0, 5, 6, 63, 64, 4096, image.len() - 1] {
        let _ = of(&&image[..cut]);
    }
}

#[test]
fn files_of_a_tar_archive_have_their_paths_however_long() {
    let long = format!("{}/end", "folder".repeat(40));
    let mut builder = ::tar::Builder::new(Vec::new());
    let mut append = |path: &str, content: &[u8]| {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content).unwrap();
    };
    append("etc/one", b"the first");
    append(&long, &[7; 1000]);
    append("etc/empty", b"");
    append("etc/last", b"the last");
    let image = builder.into_inner().unwrap();
    let Named::Files(found) = of(&image.as_slice()) else { panic!() };
    let expected: [(&str, &[u8]); 3] =
        [("etc/one", b"the first"), (&long, &[7; 1000]), ("etc/last", b"the last")];
    assert_eq!(contents(&image, &found), expected.map(|(name, content)| (name.into(), content.into())));
    cuts_do_no_harm(&image);
}

#[test]
fn pax_records_tell_a_path() {
    let mut builder = ::tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("path", &b"a/path"[..])]).unwrap();
    let mut header = ::tar::Header::new_ustar();
    header.set_path("short").unwrap();
    header.set_size(3);
    header.set_cksum();
    builder.append(&header, &b"abc"[..]).unwrap();
    let image = builder.into_inner().unwrap();
    let Named::Files(found) = of(&image.as_slice()) else { panic!() };
    assert_eq!(contents(&image, &found), [("a/path".to_owned(), b"abc".to_vec())]);
}

/// One file of a cpio archive.
fn member(name: &str, content: &[u8]) -> Vec<u8> {
    let mut fields = [0; 13];
    (fields[6], fields[11]) = (content.len(), name.len() + 1);
    let digits: String = fields.iter().map(|field| format!("{field:08x}")).collect();
    let mut member = format!("070701{digits}{name}\0").into_bytes();
    member.resize(member.len().next_multiple_of(4), 0);
    member.extend_from_slice(content);
    member.resize(member.len().next_multiple_of(4), 0);
    member
}

#[test]
fn files_of_two_cpio_archives_one_behind_the_other() {
    let mut image = [member("early", b"microcode"), member("TRAILER!!!", b"")].concat();
    image.resize(512, 0);
    image.extend([member("init", b"#!/bin/sh"), member("bin", b""), member("TRAILER!!!", b"")].concat());
    let Named::Files(found) = of(&image.as_slice()) else { panic!() };
    let expected = [("early".to_owned(), b"microcode".to_vec()), ("init".into(), b"#!/bin/sh".to_vec())];
    assert_eq!(contents(&image, &found), expected);
    cuts_do_no_harm(&image);
}
