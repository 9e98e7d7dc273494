//! Messages that come once more: to the group that gave them up, and to no other.

use crate::Message;

/// The one group that is to have the message.
const GROUP: &str = "tbx-group";
/// It was given up before and comes again.
pub(crate) const REPLAYED: &str = "tbx-replayed";

impl Message {
    /// The message once more, for `group` alone, which had given it up. It comes late, after others of its key, and says so by
    /// [`is_replayed`](Self::is_replayed).
    ///
    /// ```
    /// use tbx_bus::{Message, Topic};
    ///
    /// let again = Message::new(Topic::new("order.placed")?, "OrderPlaced", "{}").replayed_for("mailer");
    /// assert_eq!(again.only_for(), Some("mailer"));
    /// assert!(again.is_replayed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn replayed_for(self, group: &str) -> Self {
        self.with_header(GROUP, group).replayed()
    }

    /// The message once more, for every group that wants it.
    #[must_use]
    pub fn replayed(self) -> Self {
        self.with_header(REPLAYED, "true")
    }

    /// The group that alone is to have the message; `None` when it is for every group that wants its topic.
    #[must_use]
    pub fn only_for(&self) -> Option<&str> {
        self.headers().get(GROUP).map(String::as_str)
    }

    /// Whether the message was given up before and comes again, after others of its key.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        self.headers().contains_key(REPLAYED)
    }
}
