//! `/v1/enrolment-codes`.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::wire::secret_text::SecretText;

/// `POST /v1/enrolment-codes`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateEnrolmentCode {
    /// Whom it signs in.
    #[schema(example = "ada")]
    pub user_uid: String,
}

/// A code that signs one person in once.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentCode {
    /// Names the code without being it.
    pub id: String,
    /// Whom it signs in.
    pub user_uid: String,
    /// When it ends: 10 minutes after it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// The code (`bvt_en_…`), shown this once; absent where an `Idempotency-Key` was repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<SecretText>,
}
