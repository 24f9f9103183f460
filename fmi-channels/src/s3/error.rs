//! Which answer of S3 means what, and what to do about it.

use super::url::Location;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
};
use fmi_actors::Error;
use std::error::Error as StdError;

/// What was asked of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Get,
    Head,
    Put,
    Delete,
    List,
    Multipart,
    Abort,
}

impl Operation {
    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Head => "look for",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Multipart => "put in parts",
            Self::Abort => "give up parts of",
        }
    }

    /// What must be allowed for it.
    fn permission(self) -> &'static str {
        match self {
            Self::Get | Self::Head => "s3:GetObject",
            Self::Put | Self::Multipart => "s3:PutObject",
            Self::Delete => "s3:DeleteObject",
            Self::List => "s3:ListBucket",
            Self::Abort => "s3:AbortMultipartUpload",
        }
    }
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    /// What happened, and what to do.
    pub(super) reason: String,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is no such object, or upload.
    Missing,
    /// Nothing was done; ask again, later.
    Busy,
    /// Ask again; it may have been done all the same.
    Doubtful,
    /// What is there is none of our objects, or altered.
    Foreign,
    /// Asking again is pointless.
    Fatal,
}

impl Trouble {
    pub(super) fn doubtful(reason: impl Into<String>) -> Self {
        Self { kind: Kind::Doubtful, reason: reason.into() }
    }

    pub(super) fn fatal(reason: impl Into<String>) -> Self {
        Self { kind: Kind::Fatal, reason: reason.into() }
    }

    pub(super) fn foreign(reason: impl Into<String>) -> Self {
        Self { kind: Kind::Foreign, reason: reason.into() }
    }

    /// Whether asking again, later, may help.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.kind, Kind::Busy | Kind::Doubtful)
    }

    /// What the SDK says, read.
    pub(super) fn of<E>(
        operation: Operation,
        location: &Location,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        match error {
            SdkError::ServiceError(service) => {
                let raw = service.raw();
                let said = Said {
                    status: raw.status().as_u16(),
                    code: service.err().code().unwrap_or_default(),
                    message: service.err().message().unwrap_or_default(),
                    region: raw.headers().get("x-amz-bucket-region"),
                };
                said.means(operation, location)
            }
            SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => {
                Self::doubtful(format!("no connection: {}", DisplayErrorContext(error)))
            }
            SdkError::TimeoutError(_) => Self::doubtful("no answer in time"),
            SdkError::ResponseError(_) => Self::doubtful(format!(
                "an answer that makes no sense: {}",
                DisplayErrorContext(error)
            )),
            _ => Self::without_answer(&DisplayErrorContext(error).to_string()),
        }
    }

    /// What the SDK says that never got an answer.
    fn without_answer(text: &str) -> Self {
        let lower = text.to_lowercase();
        if lower.contains("credential") || lower.contains("identity") {
            return Self::fatal(format!("{NO_CREDENTIALS} ({text})"));
        }
        if lower.contains("certificate") {
            return Self::fatal(format!("the server's certificate is not trusted: {text}"));
        }
        if lower.contains("region") && lower.contains("missing") {
            return Self::fatal("no region is known: add ?region=… to the URL, or set AWS_REGION");
        }
        Self::doubtful(text)
    }

    /// As the user sees it.
    pub(super) fn error(&self, location: &Location, what: impl Into<String>) -> Error {
        Error::Store { store: location.to_string(), what: what.into(), reason: self.reason.clone() }
    }
}

pub(super) const NO_CREDENTIALS: &str = "no credentials were found: set AWS_ACCESS_KEY_ID and \
     AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the function a role";

/// An answer that says no.
#[derive(Debug)]
struct Said<'a> {
    status: u16,
    code: &'a str,
    message: &'a str,
    region: Option<&'a str>,
}

impl Said<'_> {
    fn means(&self, operation: Operation, location: &Location) -> Trouble {
        let Location { bucket, prefix, .. } = location;
        fn fatal(reason: impl Into<String>) -> Trouble {
            Trouble::fatal(reason)
        }
        match (self.code, self.status) {
            ("NoSuchKey" | "NotFound", _) => {
                Trouble { kind: Kind::Missing, reason: "there is no such object".to_owned() }
            }
            ("NoSuchUpload", _) => {
                Trouble { kind: Kind::Missing, reason: "there is no such upload".to_owned() }
            }
            ("NoSuchBucket", _) => {
                fatal(format!("there is no bucket \"{bucket}\": create it, or correct the URL"))
            }
            ("AccessDenied" | "AllAccessDisabled" | "AccountProblem", _) | ("", 403) => {
                let objects = match prefix.as_str() {
                    "" => format!("arn:aws:s3:::{bucket}/*"),
                    prefix => format!("arn:aws:s3:::{bucket}/{prefix}/*"),
                };
                let list = format!("s3:ListBucket on arn:aws:s3:::{bucket}");
                let permission = operation.permission();
                fatal(match operation {
                    Operation::List => format!("access denied: allow {list}"),
                    Operation::Get | Operation::Head => format!(
                        "access denied: allow {permission} on {objects} and {list} (without it S3 \
                         calls an object that is not there forbidden)"
                    ),
                    _ => format!("access denied: allow {permission} on {objects}"),
                })
            }
            ("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired", _) => {
                fatal("the credentials have expired: get new ones, or give the function a role")
            }
            ("InvalidAccessKeyId" | "NotSignedUp", _) => {
                fatal("the access key is unknown here: correct AWS_ACCESS_KEY_ID, or the endpoint")
            }
            ("InvalidToken" | "UnrecognizedClientException", _) => {
                fatal("the session token is wrong: AWS_SESSION_TOKEN belongs to other credentials")
            }
            ("SignatureDoesNotMatch", _) => {
                fatal("the secret key is wrong: correct AWS_SECRET_ACCESS_KEY")
            }
            ("RequestTimeTooSkewed", _) => {
                fatal("this machine's clock differs from the server's by minutes: set it")
            }
            (
                "PermanentRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException",
                _,
            )
            | (_, 301 | 307) => match self.region {
                Some(region) => fatal(format!(
                    "the bucket is in region {region}: add ?region={region} to the URL"
                )),
                None => fatal(format!(
                    "the bucket is in another region: add ?region=… to the URL ({})",
                    self.message
                )),
            },
            ("NotImplemented", _) | (_, 501) => {
                fatal(format!("the server cannot do this: {}", self.text()))
            }
            ("InvalidRange", _) | (_, 416) => Trouble::foreign("it is shorter than it should be"),
            ("EntityTooLarge", _) => fatal("the server takes no object of this size"),
            ("QuotaExceeded" | "XMinioStorageFull", _) | (_, 507) => {
                fatal("the store is full: remove objects, or give it more room")
            }
            // Throttled: the request was not even looked at.
            (
                "SlowDown"
                | "SlowDownRead"
                | "SlowDownWrite"
                | "Throttling"
                | "ThrottlingException"
                | "TooManyRequests"
                | "RequestLimitExceeded",
                _,
            )
            | (_, 429 | 503) => Trouble { kind: Kind::Busy, reason: self.text() },
            (
                "RequestTimeout"
                | "OperationAborted"
                | "ConditionalRequestConflict"
                | "IncompleteBody"
                | "BadDigest"
                | "XAmzContentSHA256Mismatch"
                | "InternalError",
                _,
            )
            | (_, 408 | 409 | 500..) => Trouble::doubtful(self.text()),
            ("", 404) => {
                Trouble { kind: Kind::Missing, reason: "there is no such object".to_owned() }
            }
            _ => fatal(self.text()),
        }
    }

    fn text(&self) -> String {
        match (self.code, self.message) {
            ("", "") => format!("status {}", self.status),
            (code, "") => format!("{code} (status {})", self.status),
            (code, message) => format!("{code}: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(operation: Operation, status: u16, code: &str) -> Trouble {
        let location = Location::parse("s3://bucket/jobs").unwrap();
        Said { status, code, message: "", region: None }.means(operation, &location)
    }

    #[test]
    fn only_what_may_pass_is_retried() {
        for (status, code, kind) in [
            (404, "NoSuchKey", Kind::Missing),
            (404, "", Kind::Missing),
            (404, "NoSuchUpload", Kind::Missing),
            (404, "NoSuchBucket", Kind::Fatal),
            (403, "AccessDenied", Kind::Fatal),
            (403, "", Kind::Fatal),
            (400, "ExpiredToken", Kind::Fatal),
            (403, "InvalidAccessKeyId", Kind::Fatal),
            (403, "SignatureDoesNotMatch", Kind::Fatal),
            (403, "RequestTimeTooSkewed", Kind::Fatal),
            (301, "PermanentRedirect", Kind::Fatal),
            (501, "NotImplemented", Kind::Fatal),
            (503, "SlowDown", Kind::Busy),
            (429, "", Kind::Busy),
            (500, "InternalError", Kind::Doubtful),
            (502, "", Kind::Doubtful),
            (400, "RequestTimeout", Kind::Doubtful),
            (400, "InvalidRequest", Kind::Fatal),
        ] {
            assert_eq!(means(Operation::Get, status, code).kind, kind, "{status} {code}");
        }
    }

    #[test]
    fn a_denial_names_what_to_allow() {
        for (operation, permissions) in [
            (Operation::Get, &["s3:GetObject on arn:aws:s3:::bucket/jobs/*", "s3:ListBucket"][..]),
            (Operation::Put, &["s3:PutObject on arn:aws:s3:::bucket/jobs/*"]),
            (Operation::Delete, &["s3:DeleteObject"]),
            (Operation::List, &["s3:ListBucket on arn:aws:s3:::bucket"]),
        ] {
            let reason = means(operation, 403, "AccessDenied").reason;
            for permission in permissions {
                assert!(reason.contains(permission), "{reason}");
            }
        }
    }
}
