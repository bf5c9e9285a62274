use super::*;

const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn site() -> Site {
    let caching = Caching::new(Duration::from_secs(60), Duration::from_secs(30));
    let mut site = Site::empty(&caching);
    let digest: Digest = HASH.parse().unwrap();
    let entry = Entry::new("a", Kind::Target, Content::Blob(digest), 3, &digest, &caching);
    site.files = Arc::new(HashMap::from([(format!("/targets/cam/{HASH}.1.0+b.release.json").into(), entry)]));
    site
}

#[test]
fn a_target_is_found_by_both_spellings_and_percent_encoded() {
    let site = site();
    assert!(site.find(&format!("/targets/cam/{HASH}.1.0+b.release.json")).is_some());
    assert!(site.find(&format!("/targets/{HASH}.cam/1.0+b.release.json")).is_some());
    assert!(site.find(&format!("/targets/cam/{HASH}.1.0%2Bb.release.json")).is_some());
    assert!(site.find(&format!("/targets/{HASH}.cam/1.0%2bb.release.json")).is_some());
}

#[test]
fn nothing_else_is_found() {
    let site = site();
    for path in [
        "",
        "/",
        "/targets/cam/",
        "/targets/../targets/cam",
        "/targets/%2e%2e/x",
        "/targets/%ff",
        "/targets/zz.cam/x",
    ] {
        assert!(site.find(path).is_none(), "{path}");
    }
    assert!(site.find(&format!("/targets/{}.cam/x", &HASH[1..])).is_none());
}
