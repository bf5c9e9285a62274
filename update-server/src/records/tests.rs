use super::*;
use crate::audit::{self, Event};
use crate::store::{Batch, Engine, Settings};
use archive::ArchiveError;
use perennial_schemas::Timestamp;
use std::sync::Arc;
use tempfile::TempDir;

fn now() -> Timestamp {
    Timestamp::from_unix(1_800_000_000)
}

fn store(engine: Engine) -> (TempDir, Arc<dyn Store>) {
    let folder = tempfile::tempdir().unwrap();
    let store = engine.open(folder.path(), Settings::default()).unwrap();
    (folder, store)
}

fn event(action: &'static str) -> Event {
    Event::new(now(), "command", action, &[])
}

fn filled() -> (TempDir, Arc<dyn Store>) {
    let (folder, store) = store(Engine::Fjall);
    let batch = (0..3_000_u32).fold(Batch::new(), |batch, number| {
        batch.put(Space::Reports, number.to_be_bytes(), vec![number as u8; (number % 50) as usize])
    });
    audit::commit(&store, &batch.put(Space::Devices, vec![0xff; 40], vec![1; 5 << 20]), &event("filled"))
        .unwrap();
    (folder, store)
}

fn exported(store: &dyn Store) -> Vec<u8> {
    let mut file = Vec::new();
    archive::write(store, now(), &mut file).unwrap();
    file
}

#[test]
fn an_export_fills_an_empty_store_of_any_engine_with_the_same_contents() {
    let (_kept, from) = filled();
    let file = exported(&from);
    let before = summary(&from).unwrap();
    assert_eq!((before.records, before.spaces["reports"], before.spaces["audit"]), (3_002, 3_000, 1));
    for engine in Engine::EMBEDDED {
        let (_kept, to) = store(engine);
        assert!(copy::is_empty(&to).unwrap());
        let taken = copy::import(&mut file.as_slice(), &to, |_, _| event("imported")).unwrap().0;
        assert_eq!(taken, before, "{engine}");
        assert!(!copy::is_unfinished(&to).unwrap());
        // One entry more in the chain, which says so.
        assert_eq!(audit::verify(&to).unwrap().sequence, 2);
        assert_eq!(to.get(Space::Devices, &[0xff; 40]).unwrap().unwrap().len(), 5 << 20);
    }
    // The same records have the same digest wherever they lie.
    let (_kept, to) = store(Engine::Sled);
    let mut arrive = |space, key, value| to.commit(Batch::new().put(space, key, value));
    archive::read(&mut file.as_slice(), &mut arrive).unwrap();
    assert_eq!(summary(&to).unwrap(), before);
    assert_eq!(exported(&to), file);
}

#[test]
fn a_damaged_export_is_refused_and_leaves_a_store_that_nobody_uses() {
    let (_kept, from) = filled();
    let file = exported(&from);
    let import = |file: &[u8]| {
        let (kept, to) = store(Engine::Fjall);
        let refused = copy::import(&mut &*file, &to, |_, _| event("imported"));
        assert!(copy::is_unfinished(&to).unwrap());
        drop(kept);
        refused.unwrap_err()
    };
    for length in [10, 300, file.len() / 2, file.len() - 1] {
        assert!(matches!(import(&file[..length]), ArchiveError::Read(_)), "{length}");
    }
    for at in [700, file.len() / 2, file.len() - 1] {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(matches!(import(&changed), ArchiveError::Damaged(_) | ArchiveError::Read(_)), "{at}");
    }
    assert!(matches!(
        import(&[&file[..], b"x"].concat()),
        ArchiveError::Damaged("something follows its end")
    ));
    assert!(matches!(import(b"SQLite format 3\0 and more than that"), ArchiveError::Unknown(_)));
    let mut later = file.clone();
    let at = later.windows(11).position(|part| part == b"records/1\",").unwrap();
    later[at + 8] = b'2';
    assert!(matches!(import(&later), ArchiveError::Unknown(_)));
}

#[test]
fn a_copy_that_lost_something_on_the_way_never_counts() {
    let (_kept, from) = filled();
    let (_folder, to) = store(Engine::Sled);
    // Somebody else writes into the target meanwhile.
    to.commit(Batch::new().put(Space::Keys, *b"stray", *b"1")).unwrap();
    let refused = copy::copy(&from, &to, |_| event("migrated"));
    assert!(matches!(refused, Err(ArchiveError::Differs(_))));
    assert!(copy::is_unfinished(&to).unwrap());
}

#[test]
fn a_check_names_what_is_damaged() {
    let (_kept, store) = filled();
    // What stands for devices and reports in these tests is none of theirs.
    let checked = check::check(&store).unwrap();
    assert_eq!((checked.wrong, checked.audit.unwrap().sequence, checked.generation), (3_001, 1, None));
    assert_eq!(checked.faults.len(), 100);
    let (_kept, store) = self::store(Engine::Fjall);
    audit::commit(&store, &Batch::new(), &event("filled")).unwrap();
    assert_eq!(check::check(&store).unwrap().wrong, 0);
    audit::commit(&store, &Batch::new(), &event("second")).unwrap();
    let first = store.get(Space::Audit, &1_u64.to_be_bytes()).unwrap().unwrap();
    let changed = String::from_utf8(first).unwrap().replace("filled", "felled");
    let batch = Batch::new()
        .put(Space::Audit, 1_u64.to_be_bytes(), changed)
        .put(Space::Meta, *b"served", 7_u64.to_be_bytes())
        .put(Space::Generations, 3_u64.to_be_bytes(), *b"{}");
    store.commit(batch).unwrap();
    let checked = check::check(&store).unwrap();
    assert_eq!((checked.wrong, checked.audit), (3, None));
    let faults = checked.faults.join("\n");
    for part in ["generations/", "audit/2: the chain breaks here", "meta/served names a generation"] {
        assert!(faults.contains(part), "{faults}");
    }
}

#[test]
fn heads_that_were_seen_show_a_past_that_was_rewritten_or_cut_off() {
    let (_kept, store) = store(Engine::Fjall);
    let seen: Vec<_> = ["one", "two", "three"]
        .iter()
        .map(|word| audit::commit(&store, &Batch::new(), &event(word)).unwrap())
        .collect();
    assert_eq!(audit::verify_against(&store, &seen).unwrap(), seen[2]);
    // The chain as somebody would write it who has the disk: whole in itself, and another.
    let (_other, forged) = self::store(Engine::Fjall);
    for word in ["one", "too"] {
        audit::commit(&forged, &Batch::new(), &event(word)).unwrap();
    }
    assert!(audit::verify(&forged).is_ok());
    assert!(audit::verify_against(&forged, &seen[..1]).is_ok());
    let rewritten = audit::verify_against(&forged, &seen[..2]).unwrap_err().to_string();
    assert!(rewritten.contains("entry 2 ") && rewritten.contains("rewritten"), "{rewritten}");
    let cut = audit::verify_against(&forged, &seen[2..]).unwrap_err().to_string();
    assert!(cut.contains("entry 3 ") && cut.contains("cut off"), "{cut}");
    assert_eq!(seen[1].to_string().parse(), Ok(seen[1]));
    assert!("2".parse::<audit::Head>().is_err() && "2:zz".parse::<audit::Head>().is_err());
}

#[test]
fn rollouts_and_votes_move_with_the_records_and_damaged_ones_are_told() {
    use crate::rollout::record::{Record, all};
    use crate::rollout::testkit::{offer, votes};
    use crate::rollout::votes::{Mark, Vote};
    let (_kept, from) = store(Engine::Fjall);
    let mut record = Record::new(&offer(1), now());
    record.set_aside.insert("revC".parse().unwrap(), votes(3, 2, 1));
    let mark = Mark {
        vote: Vote::RolledBack,
        hardware: "revC".parse().unwrap(),
        received: now(),
        began: now(),
        code: None,
    };
    let batch = (0..200_u8).fold(Batch::new(), |batch, number| {
        batch.put(Space::Marks, [record.manifest.0.as_slice(), &[number; 16]].concat(), mark.encode())
    });
    from.commit(batch.put(Space::Rollouts, record.manifest.0, record.encode().unwrap())).unwrap();
    assert_eq!(check::check(&from).unwrap().wrong, 0);
    let file = exported(&from);
    for engine in Engine::EMBEDDED {
        let (_kept, to) = store(engine);
        copy::import(&mut file.as_slice(), &to, |_, _| event("imported")).unwrap();
        assert_eq!(
            all(&to).unwrap().whole.into_values().map(|(record, _)| record).collect::<Vec<_>>(),
            [record.clone()]
        );
        assert_eq!(summary(&to).unwrap().spaces["marks"], 200);
    }
    let wrong =
        Batch::new().put(Space::Marks, *b"short", mark.encode()).put(Space::Rollouts, [9; 32], *b"{}");
    from.commit(wrong).unwrap();
    let checked = check::check(&from).unwrap();
    assert_eq!(checked.wrong, 2, "{:?}", checked.faults);
}

#[test]
fn numbers_that_nobody_gave_out_are_told_and_stop_nothing_else() {
    use crate::rollout::record::Record;
    use crate::rollout::testkit::{offer, votes};
    let (_kept, store) = store(Engine::Fjall);
    let whole = Record::new(&offer(1), now());
    let key = whole.manifest.0;
    let (mut phase, mut aside) = (whole.clone(), whole);
    phase.phase = usize::MAX;
    aside.set_aside.insert("revC".parse().unwrap(), votes(u64::MAX, 0, 0));
    for record in [phase, aside] {
        store.commit(Batch::new().put(Space::Rollouts, key, record.encode().unwrap())).unwrap();
        assert_eq!(check::check(&store).unwrap().wrong, 1);
    }
    store.commit(Batch::new().put(Space::Audit, [0xff; 8], *b"{}")).unwrap();
    let file = exported(&store);
    let (_kept, to) = self::store(Engine::Fjall);
    let refused = copy::import(&mut file.as_slice(), &to, |_, _| event("imported")).unwrap_err();
    assert!(refused.to_string().contains("no number follows"), "{refused}");
}
