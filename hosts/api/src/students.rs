//! The operations on students.

use std::sync::Arc;

use poem::{Request, Result};
use poem_openapi::param::{Header, Path, Query as Parameter};
use poem_openapi::{ApiResponse, OpenApi, Tags};
use serde::Serialize;
use tbx_bus::TraceContext;
use tbx_core::published::StudentBody;
use tbx_core::{
    Clock, Context, CreateStudentHandler, Cursor, DeleteStudent, DeleteStudentHandler, Enrolled, Freshness,
    GetStudent, GetStudentHandler, InvalidSearchPrefix, ListStudents, ListStudentsHandler, PageLimit,
    SearchPrefix, Sort, Student, StudentChange, StudentRef, Trace, UpdateStudent, UpdateStudentHandler,
    Version,
};
use tbx_service::problem::Problem;

use crate::dto::{StudentDto, StudentInputDto, StudentPageDto, StudentPatchDto};
use crate::entity_tag::{Condition, entity_tag};
use crate::payload::{JsonInput, JsonOutput};
use crate::query::Query;
use crate::{idempotency_key, input, problems};

#[derive(Tags)]
enum ApiTags {
    /// Student records.
    Students,
}

/// The operations.
#[derive(Clone)]
pub(crate) struct StudentsApi {
    pub(crate) create: CreateStudentHandler,
    pub(crate) update: UpdateStudentHandler,
    pub(crate) delete: DeleteStudentHandler,
    pub(crate) get: GetStudentHandler,
    pub(crate) list: ListStudentsHandler,
    pub(crate) clock: Arc<dyn Clock>,
}

type StudentJson = JsonOutput<StudentBody, StudentDto>;

/// A page as it is sent.
#[derive(Serialize)]
pub(crate) struct PageBody {
    items: Vec<StudentBody>,
    next: Option<String>,
}

#[derive(ApiResponse)]
enum Created {
    /// The student was created.
    #[oai(status = 201)]
    Student(
        StudentJson,
        /// Where the student is.
        #[oai(header = "Location")]
        String,
        /// Its entity tag.
        #[oai(header = "ETag")]
        String,
        /// Whether this is the answer of an earlier request with the same key.
        #[oai(header = "Idempotency-Replayed")]
        Option<String>,
    ),
}

#[derive(ApiResponse)]
enum Found {
    /// The student.
    #[oai(status = 200)]
    Student(
        StudentJson,
        /// Its entity tag.
        #[oai(header = "ETag")]
        String,
    ),
    /// The state that the client has is the current one.
    #[oai(status = 304)]
    NotModified(
        /// Its entity tag.
        #[oai(header = "ETag")]
        String,
    ),
}

#[derive(ApiResponse)]
enum Changed {
    /// The student as it is now.
    #[oai(status = 200)]
    Student(
        StudentJson,
        /// Its entity tag.
        #[oai(header = "ETag")]
        String,
    ),
}

#[derive(ApiResponse)]
enum Deleted {
    /// The student is gone.
    #[oai(status = 204)]
    Gone,
}

#[derive(ApiResponse)]
enum Listed {
    /// A page of students.
    #[oai(status = 200)]
    Page(
        JsonOutput<PageBody, StudentPageDto>,
        /// The next page (RFC 8288), when there is one.
        #[oai(header = "Link")]
        Option<String>,
    ),
}

#[OpenApi(tag = "ApiTags::Students")]
impl StudentsApi {
    /// Creates a student.
    ///
    /// It gets the next number and version 1. No two students may share an email address. A request with an `Idempotency-Key` can be repeated: the
    /// student is created once, and each repetition gets the first answer again.
    #[oai(path = "/students", method = "post", operation_id = "createStudent")]
    async fn create(
        &self,
        request: &Request,
        /// A name for this request, chosen by the client, under which it can be repeated for 24 hours.
        #[oai(name = "Idempotency-Key")]
        _idempotency_key: Header<Option<String>>,
        body: JsonInput<StudentInputDto>,
    ) -> Result<Created> {
        let key = idempotency_key::read(request.headers())?;
        let command = input::create(&body.value)?;
        let context = self.context(request);
        let enrolled = match &key {
            Some(key) => self.create.execute_once(&context, key, command).await,
            None => self
                .create
                .execute(&context, command)
                .await
                .map(|student| Enrolled { first_time: true, student }),
        };
        let Enrolled { first_time, student } = enrolled.map_err(|error| problems::refused(&error))?;
        let replayed = (!first_time).then(|| "true".to_owned());
        let location = format!("{}/{}", request.original_uri().path().trim_end_matches('/'), student.id);
        let tag = entity_tag(&student);
        Ok(Created::Student(json(&student), location, tag, replayed))
    }

    /// Lists students.
    ///
    /// A page of them, in the order asked for. To go on, send `next` as `cursor`, with everything else as before, or follow the `Link`: students
    /// that come and go meanwhile make no other appear twice or not at all.
    #[oai(path = "/students", method = "get", operation_id = "listStudents")]
    async fn list(
        &self,
        request: &Request,
        /// How many.
        #[oai(name = "limit")]
        _limit: Parameter<Option<String>>,
        /// Where to go on: `next` of the page before.
        #[oai(name = "cursor")]
        _cursor: Parameter<Option<String>>,
        /// The beginning of first name, last name or email address, ignoring case. An empty one finds everybody.
        #[oai(name = "search")]
        _search: Parameter<Option<String>>,
        /// What they are ordered by; with `-` in front descending. Where it is the same, the number decides.
        #[oai(name = "sort")]
        _sort: Parameter<Option<String>>,
    ) -> Result<Listed> {
        let query = Query::read(request.uri().query().unwrap_or_default(), &ONCE)?;
        let page = self
            .list
            .execute(&self.context(request), list_query(&query)?)
            .await
            .map_err(|error| problems::refused(&error))?;
        let next = page.next.as_ref().map(Cursor::encode);
        let link = next.as_ref().map(|next| format!("<{}>; rel=\"next\"", next_link(request, &query, next)));
        let items = page.items.iter().map(StudentBody::from).collect();
        Ok(Listed::Page(JsonOutput::new(PageBody { items, next }), link))
    }

    /// Reads a student, by id or number.
    ///
    /// What one client has written is seen by all from then on. `updates` trails `version` until the workers have finished.
    #[oai(path = "/students/:id", method = "get", operation_id = "getStudent")]
    async fn get(
        &self,
        request: &Request,
        /// The id or the number of the student.
        id: Path<String>,
        /// Answers 304 when the state is still the one with this entity tag.
        #[oai(name = "If-None-Match")]
        _if_none_match: Header<Option<String>>,
        /// `no-cache` reads past the cache.
        #[oai(name = "Cache-Control")]
        cache_control: Header<Option<String>>,
    ) -> Result<Found> {
        let condition = Condition::of(request.headers(), "If-None-Match")?;
        let bypass = cache_control.0.is_some_and(|value| value.to_ascii_lowercase().contains("no-cache"));
        let freshness = if bypass { Freshness::Stored } else { Freshness::Cached };
        let query = GetStudent { student: reference(&id.0)?, freshness };
        let student = self
            .get
            .execute(&self.context(request), query)
            .await
            .map_err(|error| problems::refused(&error))?;
        let tag = entity_tag(&student);
        if condition.is_some_and(|condition| condition.names(&student)) {
            return Ok(Found::NotModified(tag));
        }
        Ok(Found::Student(json(&student), tag))
    }

    /// Replaces the values of a student.
    ///
    /// What changes nothing is answered like any other write, with the version as it was. Without `If-Match` a write that meets another is tried again.
    #[oai(path = "/students/:id", method = "put", operation_id = "replaceStudent")]
    async fn replace(
        &self,
        request: &Request,
        /// The id or the number of the student.
        id: Path<String>,
        /// Changes the student only at this version.
        #[oai(name = "If-Match")]
        _if_match: Header<Option<String>>,
        body: JsonInput<StudentInputDto>,
    ) -> Result<Changed> {
        let student = reference(&id.0)?;
        self.change(request, student, input::replace(&body.value)?).await
    }

    /// Changes the given values of a student.
    ///
    /// A merge patch (RFC 7396): what is absent stays as it is. No value can be removed, so null is refused.
    #[oai(path = "/students/:id", method = "patch", operation_id = "changeStudent")]
    async fn patch(
        &self,
        request: &Request,
        /// The id or the number of the student.
        id: Path<String>,
        /// Changes the student only at this version.
        #[oai(name = "If-Match")]
        _if_match: Header<Option<String>>,
        body: JsonInput<StudentPatchDto>,
    ) -> Result<Changed> {
        let student = reference(&id.0)?;
        self.change(request, student, input::change(&body.value)?).await
    }

    /// Deletes a student.
    ///
    /// For good: its email address is free again, its number is not.
    #[oai(path = "/students/:id", method = "delete", operation_id = "deleteStudent")]
    async fn delete(
        &self,
        request: &Request,
        /// The id or the number of the student.
        id: Path<String>,
        /// Deletes the student only at this version.
        #[oai(name = "If-Match")]
        _if_match: Header<Option<String>>,
    ) -> Result<Deleted> {
        let context = self.context(request);
        let student = reference(&id.0)?;
        let expected = self.expected(&context, request, student).await?;
        let command = DeleteStudent { student, expected };
        self.delete.execute(&context, command).await.map_err(|error| problems::refused(&error))?;
        Ok(Deleted::Gone)
    }
}

impl StudentsApi {
    fn context(&self, request: &Request) -> Context {
        let context = Context::new(self.clock.now());
        match request.data::<TraceContext>() {
            Some(trace) => context.with_trace(Trace {
                traceparent: trace.traceparent().to_owned(),
                tracestate: trace.tracestate().map(str::to_owned),
            }),
            None => context,
        }
    }

    async fn change(&self, request: &Request, student: StudentRef, change: StudentChange) -> Result<Changed> {
        let context = self.context(request);
        let expected = self.expected(&context, request, student).await?;
        let command = UpdateStudent { student, expected, change };
        let student =
            self.update.execute(&context, command).await.map_err(|error| problems::refused(&error))?;
        let tag = entity_tag(&student);
        Ok(Changed::Student(json(&student), tag))
    }

    /// The version that `If-Match` asks for.
    async fn expected(
        &self,
        context: &Context,
        request: &Request,
        student: StudentRef,
    ) -> Result<Option<Version>, Problem> {
        let Some(condition) = Condition::of(request.headers(), "If-Match")? else { return Ok(None) };
        let Some(versions) = condition.versions() else { return Ok(None) };
        if let [version] = versions[..] {
            return Ok(Some(version));
        }
        // A list, or tags that are none of ours: the current version decides which of them can hold.
        let query = GetStudent { student, freshness: Freshness::Stored };
        let current = self.get.execute(context, query).await.map_err(|error| problems::refused(&error))?;
        if versions.contains(&current.version) {
            Ok(Some(current.version))
        } else {
            Err(problems::refused(&tbx_core::UseCaseError::Stale { current: current.version }))
        }
    }
}

fn json(student: &Student) -> StudentJson {
    JsonOutput::new(StudentBody::from(student))
}

/// An id that cannot exist is answered like one that does not.
fn reference(id: &str) -> Result<StudentRef, Problem> {
    id.parse().map_err(|_| problems::no_such_student())
}

/// What may stand in the query of a list once.
const ONCE: [&str; 4] = ["limit", "cursor", "search", "sort"];

fn list_query(query: &Query<'_>) -> Result<ListStudents, Problem> {
    let limit = match query.value("limit") {
        Some(text) => {
            page_limit(text).ok_or_else(|| problems::malformed("limit", "must be a number from 1 to 200"))?
        }
        None => PageLimit::default(),
    };
    let sort = match query.value("sort") {
        Some(text) => text.parse::<Sort>().map_err(|_| {
            problems::malformed(
                "sort",
                "must be `number`, `lastName` or `created`, with `-` in front for descending",
            )
        })?,
        None => Sort::default(),
    };
    let search = match query.value("search") {
        Some(text) => search_prefix(text).map_err(|InvalidSearchPrefix| {
            problems::malformed("search", "may have 100 characters and no control characters")
        })?,
        None => None,
    };
    let cursor = match query.value("cursor") {
        Some(text) => Some(Cursor::decode(text, sort, search.as_ref()).map_err(|_| {
            problems::malformed("cursor", "must be `next` of a page with the same `sort` and `search`")
        })?),
        None => None,
    };
    Ok(ListStudents { limit, sort, search, cursor })
}

/// A number as it is written, without signs and zeros in front.
fn page_limit(text: &str) -> Option<PageLimit> {
    let limit: u32 = text.parse().ok()?;
    PageLimit::new(limit).ok().filter(|_| limit.to_string() == text)
}

/// Forms send a field that nobody has filled in as an empty one, which is to find everybody.
fn search_prefix(text: &str) -> Result<Option<SearchPrefix>, InvalidSearchPrefix> {
    if text.chars().any(char::is_control) || text.chars().count() > SearchPrefix::MAX_CHARS {
        return Err(InvalidSearchPrefix);
    }
    if text.trim().is_empty() { Ok(None) } else { SearchPrefix::parse(text).map(Some) }
}

/// The request again, with the cursor of the next page.
fn next_link(request: &Request, query: &Query<'_>, next: &str) -> String {
    let cursor = format!("cursor={next}");
    let query: Vec<&str> = query.without("cursor").chain([cursor.as_str()]).collect();
    format!("{}?{}", request.original_uri().path(), query.join("&"))
}
