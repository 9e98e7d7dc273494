//! What an entry looks like in Redis: version, generation, kind, bytes.

use bytes::Bytes;

use super::{CacheVersion, Cached};

/// Two numbers of twenty digits, which compare as texts as they do as numbers, in every locale.
const VERSION: usize = 40;
/// A UUID without hyphens.
const GENERATION: usize = 32;
const HEAD: usize = VERSION + GENERATION;
const VALUE: u8 = b'v';
const TOMBSTONE: u8 = b'x';

/// What stands where the generation does when there is nothing to be read; no generation has this name.
const NONE: &str = "--------------------------------";

/// Puts an entry in one step: nobody comes between looking and writing. An entry of another generation is not read any more, and still keeps older
/// versions out.
///
/// Keys: the generation, the entry. Arguments: milliseconds to live, a generation for when there is none, version, rest.
pub(super) const PUT: &str = "\
local generation = redis.call('GET', KEYS[1]) \
if not generation then generation = ARGV[2] redis.call('SET', KEYS[1], generation) end \
local head = redis.call('GETRANGE', KEYS[2], 0, 71) \
local held = string.sub(head, 1, 40) \
if #head == 72 and (held > ARGV[3] or (held == ARGV[3] and string.sub(head, 41) == generation)) then return 0 end \
redis.call('SET', KEYS[2], ARGV[3] .. generation .. ARGV[4], 'PX', ARGV[1]) \
return 1";

/// Leaves nothing older than given versions to be read, nor to be put.
///
/// Keys: the entries. Arguments: milliseconds to live, then for each entry the [`mark`] of its version.
pub(super) const EXPEL: &str = "\
for i = 1, #KEYS do \
local head = redis.call('GETRANGE', KEYS[i], 0, 71) \
if #head < 72 or string.sub(head, 1, 40) < string.sub(ARGV[i + 1], 1, 40) then \
redis.call('SET', KEYS[i], ARGV[i + 1], 'PX', ARGV[1]) \
end end";

/// What keeps everything older than that out, and is absent for whoever reads.
pub(super) fn mark(of: CacheVersion) -> String {
    version(of) + NONE
}

/// A name for a generation.
pub(super) fn generation() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

pub(super) fn version(CacheVersion(first, second): CacheVersion) -> String {
    format!("{first:020}{second:020}")
}

/// What follows version and generation.
pub(super) fn rest(entry: &Cached) -> Vec<u8> {
    let mut rest = vec![if entry.value.is_some() { VALUE } else { TOMBSTONE }];
    rest.extend_from_slice(entry.value.as_deref().unwrap_or_default());
    rest
}

/// The entry; one of another generation, and what somebody else wrote, counts as absent.
pub(super) fn decode(stored: Vec<u8>, generation: &[u8]) -> Option<Cached> {
    let (version, rest) = stored.split_at_checked(VERSION)?;
    let version = std::str::from_utf8(version).ok()?;
    let (first, second) = version.split_at_checked(VERSION / 2)?;
    let version = CacheVersion(first.parse().ok()?, second.parse().ok()?);
    let (of, rest) = rest.split_at_checked(GENERATION)?;
    if of != generation {
        return None;
    }
    match *rest.first()? {
        VALUE => Some(Cached { version, value: Some(Bytes::from(stored).slice(HEAD + 1..)) }),
        TOMBSTONE => Some(Cached { version, value: None }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_texts_as_they_do_as_numbers() {
        let versions = [(0, 0), (0, u64::MAX), (1, 0), (9, 10), (10, 9), (u64::MAX, u64::MAX)];
        let texts: Vec<_> = versions.map(|(a, b)| version(CacheVersion(a, b))).into();
        assert!(texts.is_sorted() && texts.iter().all(|text| text.len() == VERSION));
    }

    #[test]
    fn entries_of_other_generations_and_what_somebody_else_wrote_count_as_absent() {
        let (now, entry) = (generation(), Cached { version: CacheVersion(1, 2), value: Some("v".into()) });
        let stored = |generation: &str| {
            [version(entry.version).as_bytes(), generation.as_bytes(), &rest(&entry)].concat()
        };
        assert_eq!(decode(stored(&now), now.as_bytes()), Some(entry.clone()));
        assert_eq!(decode(stored(&generation()), now.as_bytes()), None);
        assert_eq!(mark(entry.version).len(), HEAD);
        assert_eq!(decode(mark(entry.version).into_bytes(), now.as_bytes()), None);
        for foreign in ["", "short", &"9".repeat(41), &"é".repeat(60), &format!("{}{now}v", "x".repeat(40))]
        {
            assert_eq!(decode(foreign.as_bytes().to_vec(), now.as_bytes()), None, "{foreign}");
        }
    }
}
