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
    pub(super) fn get_mut(&mut self, topic: &Topic) -> Option<&mut T> {
        let mut node = &mut self.root;
        for word in topic.words() {
            node = node.children.get_mut(word)?;
        }
        node.value.as_mut()
    }

    /// Calls `visit` for the value of every topic that `pattern` matches. A topic may be visited more than once when the pattern has several `#`.
    pub(super) fn matching<'a>(&'a self, pattern: &TopicPattern, visit: &mut impl FnMut(&'a T)) {
        let words: Vec<&str> = pattern.words().collect();
        self.root.matching(&words, visit);
    }
}

impl<T> Node<T> {
    fn matching<'a>(&'a self, pattern: &[&str], visit: &mut impl FnMut(&'a T)) {
        let Some((first, rest)) = pattern.split_first() else {
            if let Some(value) = &self.value {
                visit(value);
            }
            return;
        };
        match *first {
            "#" => {
                self.matching(rest, visit);
                for (_, child) in self.public_children() {
                    child.matching(pattern, visit);
                }
            }
            "*" => {
                for (_, child) in self.public_children() {
                    child.matching(rest, visit);
                }
            }
            word => {
                if let Some(child) = self.children.get(word) {
                    child.matching(rest, visit);
                }
            }
        }
    }

    fn public_children(&self) -> impl Iterator<Item = (&Box<str>, &Self)> {
        self.children.iter().filter(|(word, _)| !is_private(word))
    }
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
}
