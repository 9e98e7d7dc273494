//! Patterns by their words, to find those that match a topic without looking at the others.

use std::collections::HashMap;

use tbx_bus::{Topic, TopicPattern, is_private};

/// A value for each pattern.
#[derive(Debug)]
pub(super) struct PatternTree<T> {
    root: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    value: Option<T>,
    /// Whether this is the node of a `#`, where any number of words may be spent.
    is_any: bool,
    words: HashMap<Box<str>, Node<T>>,
    one: Option<Box<Node<T>>>,
    any: Option<Box<Node<T>>>,
}

impl<T> Node<T> {
    fn new(is_any: bool) -> Self {
        Self { value: None, is_any, words: HashMap::new(), one: None, any: None }
    }
}

impl<T> Default for PatternTree<T> {
    fn default() -> Self {
        Self { root: Node::new(false) }
    }
}

impl<T> PatternTree<T> {
    /// The value of `pattern`, made by `make` when it is new.
    pub(super) fn get_or_insert_with(&mut self, pattern: &TopicPattern, make: impl FnOnce() -> T) -> &mut T {
        let mut node = &mut self.root;
        for word in pattern.words() {
            node = match word {
                "*" => node.one.get_or_insert_with(|| Box::new(Node::new(false))),
                "#" => node.any.get_or_insert_with(|| Box::new(Node::new(true))),
                _ => node.words.entry(word.into()).or_insert_with(|| Node::new(false)),
            };
        }
        node.value.get_or_insert_with(make)
    }

    /// Removes `pattern`, and the branches that lead to nothing then.
    pub(super) fn remove(&mut self, pattern: &TopicPattern) {
        let words: Vec<&str> = pattern.words().collect();
        self.root.remove(&words);
    }

    /// Calls `visit` once for every pattern that matches `topic`.
    ///
    /// Walks all matching branches side by side, word by word: the work is bounded by words times nodes, whatever the patterns are. Trying
    /// one branch after the other would let two requests with many `#` keep a processor busy for ever.
    pub(super) fn matching<'a>(&'a self, topic: &Topic, visit: &mut impl FnMut(&'a T)) {
        let mut reached = vec![&self.root];
        spend_nothing(&mut reached);
        for word in topic.words() {
            let mut next = Vec::with_capacity(reached.len());
            for node in reached {
                node.spend(word, &mut next);
            }
            spend_nothing(&mut next);
            reached = next;
        }
        for node in reached {
            if let Some(value) = &node.value {
                visit(value);
            }
        }
    }

    /// Calls `visit` for every pattern.
    pub(super) fn each(&self, visit: &mut impl FnMut(&T)) {
        let mut nodes = vec![&self.root];
        while let Some(node) = nodes.pop() {
            if let Some(value) = &node.value {
                visit(value);
            }
            nodes.extend(node.words.values());
            nodes.extend(node.one.as_deref());
            nodes.extend(node.any.as_deref());
        }
    }
}

/// Adds what is reached without spending a word, and leaves each node once.
fn spend_nothing<T>(reached: &mut Vec<&Node<T>>) {
    let mut index = 0;
    while let Some(node) = reached.get(index) {
        reached.extend(node.any.as_deref());
        index += 1;
    }
    reached.sort_unstable_by_key(|node| std::ptr::from_ref(*node));
    reached.dedup_by_key(|node| std::ptr::from_ref(*node));
}

impl<T> Node<T> {
    /// Adds what is reached by spending one word.
    fn spend<'a>(&'a self, word: &str, next: &mut Vec<&'a Self>) {
        if !is_private(word) {
            if self.is_any {
                next.push(self);
            }
            next.extend(self.one.as_deref());
        }
        next.extend(self.words.get(word));
    }

    /// Tells whether nothing is left below.
    fn remove(&mut self, pattern: &[&str]) -> bool {
        match pattern.split_first() {
            None => self.value = None,
            Some((&"*", rest)) => {
                if self.one.as_mut().is_some_and(|child| child.remove(rest)) {
                    self.one = None;
                }
            }
            Some((&"#", rest)) => {
                if self.any.as_mut().is_some_and(|child| child.remove(rest)) {
                    self.any = None;
                }
            }
            Some((word, rest)) => {
                if self.words.get_mut(*word).is_some_and(|child| child.remove(rest)) {
                    self.words.remove(*word);
                }
            }
        }
        self.value.is_none() && self.words.is_empty() && self.one.is_none() && self.any.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_patterns_that_match_and_forgets_the_removed() {
        let patterns = ["#", "*", "a.*", "a.#", "a.b", "#.b", "*.*.c", "$x", "a.$x", "*.#", "a.#.c"]
            .map(|text| TopicPattern::new(text).unwrap());
        let mut tree = PatternTree::default();
        for pattern in &patterns {
            tree.get_or_insert_with(pattern, || pattern.clone());
        }
        let found = |tree: &PatternTree<TopicPattern>, topic: &Topic| {
            let mut found = std::collections::BTreeSet::new();
            tree.matching(topic, &mut |pattern| {
                found.insert(pattern.clone());
            });
            found
        };
        let mut all = 0;
        tree.each(&mut |_| all += 1);
        assert_eq!(all, patterns.len());
        for topic in ["a", "a.b", "a.b.c", "$x", "a.$x", "a.$x.c", "b"] {
            let topic = Topic::new(topic).unwrap();
            let wanted = patterns.iter().filter(|pattern| pattern.matches(&topic)).cloned().collect();
            assert_eq!(found(&tree, &topic), wanted, "{topic}");
        }
        for pattern in &patterns {
            tree.remove(pattern);
        }
        assert!(tree.root.words.is_empty() && tree.root.any.is_none() && tree.root.one.is_none());
    }

    #[test]
    fn many_wildcards_cost_no_more_than_words_times_nodes() {
        let mut tree = PatternTree::default();
        for text in [["#"; 60].join(".") + ".z", ["#.a"; 60].join("."), ["*.#"; 60].join(".")] {
            tree.get_or_insert_with(&TopicPattern::new(&text).unwrap(), || ());
        }
        // One after the other, these branches would take longer than anyone has.
        let mut found = 0;
        tree.matching(&Topic::new(&["a"; 120].join(".")).unwrap(), &mut |()| found += 1);
        assert_eq!(found, 2);
    }
}
