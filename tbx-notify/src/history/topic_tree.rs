//! Topics by their words, to find those that a pattern matches without looking at the others.

use std::collections::HashMap;

use tbx_bus::{Topic, TopicPattern, is_private};

/// A value for each topic.
#[derive(Debug)]
pub(super) struct TopicTree<T> {
    root: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    value: Option<T>,
    children: HashMap<Box<str>, Node<T>>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { value: None, children: HashMap::new() }
    }
}

impl<T> Default for TopicTree<T> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<T: Default> TopicTree<T> {
    /// The value of `topic`, made when it is new.
    pub(super) fn entry(&mut self, topic: &Topic) -> &mut T {
        let mut node = &mut self.root;
        for word in topic.words() {
            if !node.children.contains_key(word) {
                node.children.insert(word.into(), Node::default());
            }
            // Present: inserted above when it was not.
            let Some(child) = node.children.get_mut(word) else {
                unreachable!("a child that was just inserted")
            };
            node = child;
        }
        node.value.get_or_insert_default()
    }

    /// The value of `topic`.
    pub(super) fn get(&self, topic: &Topic) -> Option<&T> {
        let mut node = &self.root;
        for word in topic.words() {
            node = node.children.get(word)?;
        }
        node.value.as_ref()
    }

    /// Calls `visit` once for the value of every topic that `pattern` matches.
    ///
    /// Each topic is looked at once with all places in the pattern that lead to it, so the work is bounded by topics times words, whatever the
    /// pattern is. Trying one place after the other would let a request with many `#` keep a processor busy for ever.
    pub(super) fn matching<'a>(&'a self, pattern: &TopicPattern, visit: &mut impl FnMut(&'a T)) {
        let words: Vec<&str> = pattern.words().collect();
        let mut places = vec![0];
        skip_any(&words, &mut places);
        self.root.matching(&words, &places, visit);
    }

    /// Removes `topic`, and the branches that lead to nothing then.
    pub(super) fn remove(&mut self, topic: &Topic) {
        let words: Vec<&str> = topic.words().collect();
        self.root.remove(&words);
    }
}

impl<T> Node<T> {
    /// `places` are those in the pattern that the words up to here may have led to.
    fn matching<'a>(&'a self, pattern: &[&str], places: &[usize], visit: &mut impl FnMut(&'a T)) {
        if places.last() == Some(&pattern.len())
            && let Some(value) = &self.value
        {
            visit(value);
        }
        let open = || places.iter().filter_map(|place| pattern.get(*place));
        if open().any(|word| matches!(*word, "*" | "#")) {
            for (word, child) in &self.children {
                child.matching_after(word, pattern, places, visit);
            }
        } else {
            let mut wanted: Vec<&str> = open().copied().collect();
            wanted.sort_unstable();
            wanted.dedup();
            for word in wanted {
                if let Some(child) = self.children.get(word) {
                    child.matching_after(word, pattern, places, visit);
                }
            }
        }
    }

    fn matching_after<'a>(
        &'a self,
        word: &str,
        pattern: &[&str],
        places: &[usize],
        visit: &mut impl FnMut(&'a T),
    ) {
        let mut next = Vec::with_capacity(places.len());
        for place in places {
            match pattern.get(*place).copied() {
                Some("#") if !is_private(word) => next.push(*place),
                Some("*") if !is_private(word) => next.push(place + 1),
                Some(wanted) if wanted == word => next.push(place + 1),
                _ => {}
            }
        }
        skip_any(pattern, &mut next);
        if !next.is_empty() {
            self.matching(pattern, &next, visit);
        }
    }

    /// Tells whether nothing is left below.
    fn remove(&mut self, topic: &[&str]) -> bool {
        match topic.split_first() {
            None => self.value = None,
            Some((word, rest)) => {
                if self.children.get_mut(*word).is_some_and(|child| child.remove(rest)) {
                    self.children.remove(*word);
                }
            }
        }
        self.value.is_none() && self.children.is_empty()
    }
}

/// Adds the places behind each `#`, which may stand for no word; leaves them sorted and each once.
fn skip_any(pattern: &[&str], places: &mut Vec<usize>) {
    let mut index = 0;
    while let Some(place) = places.get(index).copied() {
        if pattern.get(place) == Some(&"#") && !places.contains(&(place + 1)) {
            places.push(place + 1);
        }
        index += 1;
    }
    places.sort_unstable();
    places.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_the_pattern_matches_and_nothing_else() {
        let topics = ["a", "a.b", "a.b.c", "b.c", "a.$x", "$x", "a.$x.b"];
        let mut tree = TopicTree::<String>::default();
        for topic in topics {
            *tree.entry(&Topic::new(topic).unwrap()) = topic.to_owned();
        }
        for pattern in ["#", "a.#", "*", "*.c", "a.*.c", "#.c", "a.$x.#", "$x", "#.b.#", "#.#"] {
            let pattern = TopicPattern::new(pattern).unwrap();
            let mut found = std::collections::BTreeSet::new();
            tree.matching(&pattern, &mut |topic| {
                found.insert(topic.as_str());
            });
            let wanted: std::collections::BTreeSet<&str> =
                topics.into_iter().filter(|topic| pattern.matches(&Topic::new(topic).unwrap())).collect();
            assert_eq!(found, wanted, "{pattern}");
        }
    }

    #[test]
    fn many_wildcards_cost_no_more_than_topics_times_words() {
        let mut tree = TopicTree::<String>::default();
        let deep = ["a"; 120].join(".");
        *tree.entry(&Topic::new(&deep).unwrap()) = deep.clone();
        for (pattern, wanted) in
            [(["#"; 60].join(".") + ".z", 0), (["#.a"; 60].join("."), 1), (["*.#"; 60].join("."), 1)]
        {
            // One place after the other, this would take longer than anyone has.
            let mut found = 0;
            tree.matching(&TopicPattern::new(&pattern).unwrap(), &mut |_| found += 1);
            assert_eq!(found, wanted, "{pattern}");
        }
    }

    #[test]
    fn a_removed_topic_leaves_no_branch() {
        let mut tree = TopicTree::<String>::default();
        for topic in ["a.b.c", "a.b"] {
            tree.entry(&Topic::new(topic).unwrap());
        }
        tree.remove(&Topic::new("a.b.c").unwrap());
        let mut left = 0;
        tree.matching(&TopicPattern::everything(), &mut |_| left += 1);
        assert_eq!(left, 1);
        tree.remove(&Topic::new("a.b").unwrap());
        assert!(tree.root.children.is_empty());
    }
}
