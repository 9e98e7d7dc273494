//! The codes clients may rely on, with what people are told about each.

/// One code with everything a person is told about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemCode {
    /// What programs compare.
    pub code: &'static str,
    /// What people read first.
    pub title: &'static str,
    /// The HTTP status it comes with.
    pub status: &'static str,
    /// What happened.
    pub explanation: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// Every code there is, in alphabetical order.
pub const PROBLEM_CODES: &[ProblemCode] = &[
    ProblemCode {
        code: "conflict",
        title: "The request conflicts with another change",
        status: "409",
        explanation: "Others changed the same thing at the same moment, and trying again on our side did not help.",
        remedy: "Read the resource again, decide whether your change still makes sense, and send it again.",
    },
    ProblemCode {
        code: "email-taken",
        title: "The email address belongs to another student",
        status: "409",
        explanation: "No two students may share an email address. Upper and lower case and blanks around it make no difference.",
        remedy: "Use another address, or find the student that has this one with a search.",
    },
    ProblemCode {
        code: "forbidden",
        title: "Not allowed",
        status: "403",
        explanation: "The request was understood, and whoever sent it may not do this.",
        remedy: "Use credentials that are allowed to do it. Sending the same request again does not help.",
    },
    ProblemCode {
        code: "host-not-allowed",
        title: "The service does not answer to this name",
        status: "421",
        explanation: "The request was sent to a host name the service was not told about. Without a setting it answers to \
                      loopback names, such as localhost, and to the address it listens on. This keeps foreign pages from \
                      reaching it through a name of their own.",
        remedy: "Use one of those names, or list the name in the setting TBX_ALLOWED_HOSTS and start the service again.",
    },
    ProblemCode {
        code: "internal",
        title: "Something went wrong on our side",
        status: "500",
        explanation: "The request may be fine, but it could not be carried out. What exactly failed was logged and is not told here.",
        remedy: "Try again later. When it stays, give the traceId of the answer to whoever runs the service: it names the \
                 lines in the log.",
    },
    ProblemCode {
        code: "invalid-fields",
        title: "Some fields break a rule",
        status: "422",
        explanation: "The body could be read, but some of its values are missing, of the wrong type, or break a rule. The \
                      member errors names every one of them with a JSON pointer.",
        remedy: "Correct the values named in errors and send the request again.",
    },
    ProblemCode {
        code: "key-in-use",
        title: "A request with this key is being carried out",
        status: "409",
        explanation: "An earlier request with the same Idempotency-Key has not come to an end, so its answer is not known yet.",
        remedy: "Send the same request with the same key again in a moment: it gets the answer of the earlier one.",
    },
    ProblemCode {
        code: "key-reused",
        title: "The key belongs to another request",
        status: "422",
        explanation: "A request with the same Idempotency-Key was carried out before, and it asked for something else.",
        remedy: "Give each request a key of its own, such as a random UUID, and repeat a key only with the same request.",
    },
    ProblemCode {
        code: "malformed-request",
        title: "The request cannot be read",
        status: "400",
        explanation: "The body is no JSON, or the query, a header or the address does not have the form it must have.",
        remedy: "Read the detail of the answer, which names the part that cannot be read, and correct it.",
    },
    ProblemCode {
        code: "method-not-allowed",
        title: "The method is not allowed here",
        status: "405",
        explanation: "The address exists, but not for this method.",
        remedy: "Use one of the methods in the header Allow of the answer.",
    },
    ProblemCode {
        code: "not-acceptable",
        title: "No acceptable representation",
        status: "406",
        explanation: "The request accepts only media types that this address cannot give.",
        remedy: "Accept the media type that the documentation names, or leave the header Accept away.",
    },
    ProblemCode {
        code: "not-found",
        title: "Nothing is here",
        status: "404",
        explanation: "There is nothing under this address: it was deleted, never existed, or the address has a slip of the pen.",
        remedy: "Check the address, or find the thing through the list it belongs to.",
    },
    ProblemCode {
        code: "origin-not-allowed",
        title: "Pages of this origin may not call the service",
        status: "403",
        explanation: "A browser sent the request for a page of another origin. Only pages of the service's own listeners \
                      may call it, unless others are listed.",
        remedy: "List the origin, such as https://app.example.org, in the setting TBX_ALLOWED_ORIGINS and start the service again.",
    },
    ProblemCode {
        code: "payload-too-large",
        title: "The body is too large",
        status: "413",
        explanation: "The body of the request is larger than the service takes.",
        remedy: "Send less at once. Whoever runs the service can raise the setting TBX_BODY_LIMIT.",
    },
    ProblemCode {
        code: "refused",
        title: "The request is refused",
        status: "any other from 400 to 499",
        explanation: "The request cannot be carried out as it is. The status says in general why.",
        remedy: "Read the detail of the answer and change the request accordingly.",
    },
    ProblemCode {
        code: "request-timeout",
        title: "The request took too long to arrive",
        status: "408",
        explanation: "The request began to arrive and then stopped before it was complete.",
        remedy: "Send it again, over a better connection if this happens often.",
    },
    ProblemCode {
        code: "stale-version",
        title: "The resource has changed since it was read",
        status: "412",
        explanation: "The request was to apply only to the version in If-Match, and there is a newer one.",
        remedy: "Read the resource again, apply your change to what it is now, and send it with the new ETag.",
    },
    ProblemCode {
        code: "too-many-requests",
        title: "Too many requests",
        status: "429",
        explanation: "More requests came from one place than the service takes in a while.",
        remedy: "Wait as long as the header Retry-After says, and send fewer.",
    },
    ProblemCode {
        code: "topic-not-allowed",
        title: "The topics are not allowed",
        status: "403",
        explanation: "The credentials are valid, but do not reach to every topic that was asked for.",
        remedy: "Ask for fewer topics, or get credentials that allow the others.",
    },
    ProblemCode {
        code: "unauthenticated",
        title: "Credentials are missing or not valid",
        status: "401",
        explanation: "The service must know who is asking, and the request has no credentials, or some that are expired or wrong.",
        remedy: "Get new credentials and send them in the header Authorization.",
    },
    ProblemCode {
        code: "unavailable",
        title: "Not available at the moment",
        status: "503",
        explanation: "A part that is needed cannot be reached now, or the service is busy, starting or stopping.",
        remedy: "Try again after the seconds in the header Retry-After.",
    },
    ProblemCode {
        code: "unsupported-media-type",
        title: "The media type is not supported",
        status: "415",
        explanation: "The body was sent as a type that this address does not read, or without a type.",
        remedy: "Send JSON with the header Content-Type: application/json, or the type that the documentation names.",
    },
    ProblemCode {
        code: "upgrade-required",
        title: "An upgrade of the connection is required",
        status: "426",
        explanation: "The address speaks another protocol than plain HTTP, such as WebSocket.",
        remedy: "Connect with a client of the protocol in the header Upgrade.",
    },
];

/// What there is to say about a code.
pub(super) fn find(code: &str) -> Option<&'static ProblemCode> {
    PROBLEM_CODES.iter().find(|known| known.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(PROBLEM_CODES.windows(2).all(|pair| pair[0].code < pair[1].code));
    }
}
