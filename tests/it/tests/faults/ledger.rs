//! What clients were told, and whether what they see agrees with it.

use std::collections::BTreeMap;

use tbx_it::Event;

/// What clients were told: the versions that were answered with 2xx, and how sure we are of the rest.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// By student: the answered versions with their event type.
    pub(crate) versions: BTreeMap<String, Vec<(u64, &'static str)>>,
    /// Students whose last write was not answered: one more version may exist.
    pub(crate) unsure: BTreeMap<String, u64>,
    pub(crate) writes: usize,
}

impl Answered {
    pub(crate) fn note(&mut self, student: &str, version: u64, event: &'static str) {
        self.versions.entry(student.to_owned()).or_default().push((version, event));
        self.writes += 1;
    }
}

/// Whether an event tells of a write, and not of the cache.
pub(crate) fn is_change(event: &Event) -> bool {
    ["StudentCreated", "StudentUpdated"].contains(&event.event.as_str())
}

/// The events of each student that tell of a change, in the order seen.
pub(crate) fn changes(seen: &[Event]) -> BTreeMap<String, Vec<(u64, String)>> {
    let mut changes: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
    for event in seen.iter().filter(|event| is_change(event)) {
        let body = event.json();
        let id = body["student"]["id"].as_str().unwrap().to_owned();
        changes
            .entry(id)
            .or_default()
            .push((body["student"]["version"].as_u64().unwrap(), event.event.clone()));
    }
    changes
}

/// Every answered write was seen, each version once and in order, and no gap was told.
pub(crate) fn verify(answered: &Answered, seen: &[Event]) {
    assert!(seen.iter().all(|event| event.event != "gap"), "a gap was told");
    let changes = changes(seen);
    for (id, seen) in &changes {
        let versions: Vec<u64> = seen.iter().map(|(version, _)| *version).collect();
        let wanted: Vec<u64> = (1..=versions.len() as u64).collect();
        assert_eq!(versions, wanted, "student {id}: each version once and in order");
    }
    for (id, versions) in &answered.versions {
        let seen = changes.get(id).unwrap_or_else(|| panic!("student {id} was never seen"));
        for (version, event) in versions {
            assert!(
                seen.contains(&(*version, (*event).to_owned())),
                "student {id}: version {version} was not seen"
            );
        }
    }
    let mut ids: Vec<&str> =
        seen.iter().filter(|event| event.event != "connected").map(|event| event.id.as_str()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "no position was seen twice");
}
