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
    words: HashMap<Box<str>, Node<T>>,
    one: Option<Box<Node<T>>>,
    any: Option<Box<Node<T>>>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { value: None, words: HashMap::new(), one: None, any: None }
    }
}

impl<T> Default for PatternTree<T> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<T> PatternTree<T> {
    /// The value of `pattern`, made by `make` when it is new.
    pub(super) fn get_or_insert_with(&mut self, pattern: &TopicPattern, make: impl FnOnce() -> T) -> &mut T {
        let mut node = &mut self.root;
        for word in pattern.words() {
            node = match word {
                "*" => node.one.get_or_insert_default(),
                "#" => node.any.get_or_insert_default(),
                _ => node.words.entry(word.into()).or_default(),
            };
        }
        node.value.get_or_insert_with(make)
    }

    /// Removes `pattern`, and the branches that lead to nothing then.
    pub(super) fn remove(&mut self, pattern: &TopicPattern) {
        let words: Vec<&str> = pattern.words().collect();
        self.root.remove(&words);
    }

    /// Calls `visit` for every pattern that matches `topic`. A pattern with several `#` may be visited more than once.
    pub(super) fn matching<'a>(&'a self, topic: &Topic, visit: &mut impl FnMut(&'a T)) {
        let words: Vec<&str> = topic.words().collect();
        self.root.matching(&words, visit);
    }
}

impl<T> Node<T> {
    fn matching<'a>(&'a self, topic: &[&str], visit: &mut impl FnMut(&'a T)) {
        if let Some(any) = &self.any {
            // `#` takes no word, or one more, as long as the words are public.
            for taken in 0..=topic.len() {
                if taken > 0 && is_private(topic[taken - 1]) {
                    break;
                }
                any.matching(&topic[taken..], visit);
            }
        }
        let Some((first, rest)) = topic.split_first() else {
            if let Some(value) = &self.value {
                visit(value);
            }
            return;
        };
        if let Some(one) = self.one.as_ref().filter(|_| !is_private(first)) {
            one.matching(rest, visit);
        }
        if let Some(child) = self.words.get(*first) {
            child.matching(rest, visit);
        }
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
        let patterns = ["#", "*", "a.*", "a.#", "a.b", "#.b", "*.*.c", "$x", "a.$x", "#.#", "a.#.c"]
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
}
