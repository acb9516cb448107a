//! The control API under `/_fakehub/`, for programs that are not this process.

use std::sync::Arc;

use crate::answer::Answer;
use crate::gate::Arrived;
use crate::shared::Shared;

pub(crate) async fn serve(_: &Arc<Shared>, _: &Arrived) -> Answer {
    *Answer::not_found()
}
