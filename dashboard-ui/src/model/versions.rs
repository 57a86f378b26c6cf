//! The versions of a module: which are looked at, what new jobs go to, and what is said of each step that changes that.

use windlass_api::{Digest, ModuleName, ModuleView, VersionView};

use crate::format::plural;

/// The share that a canary begins with where nobody says otherwise.
pub const FIRST_SHARE: &str = "10";

/// What is refused where something would break, and done all the same where somebody insists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// All new jobs go to a version.
    Activate(Digest),
    /// So many of a hundred new jobs go to a version.
    Canary(Digest, u8),
    /// All new jobs go to the canary, which is this version.
    Promote(Digest),
}

impl Step {
    /// What is asked where something would break, and what says yes to it.
    #[must_use]
    pub const fn insistence(self) -> (&'static str, &'static str) {
        match self {
            Self::Activate(_) => ("Activate it all the same?", "Activate all the same"),
            Self::Canary(..) => ("Begin the canary all the same?", "Begin all the same"),
            Self::Promote(_) => ("Promote it all the same?", "Promote all the same"),
        }
    }

    /// What is said when it is done.
    #[must_use]
    pub fn done(self, module: &ModuleName) -> String {
        match self {
            Self::Activate(digest) | Self::Promote(digest) => {
                format!("Version {} of {module} is active.", digest.short())
            }
            Self::Canary(digest, percent) => {
                format!("{percent} % of the new jobs of {module} go to version {}.", digest.short())
            }
        }
    }
}

/// The share of a canary, as it was typed.
///
/// # Errors
/// What was expected, where it is none.
pub fn share(text: &str) -> Result<u8, &'static str> {
    let percent = text.trim().parse::<u8>().ok().filter(|percent| (1..=100).contains(percent));
    percent.ok_or("Expected a whole number of percent, from 1 to 100.")
}

/// What became of the jobs that had begun on a version.
#[must_use]
pub fn moved(unpinned: u64) -> String {
    match unpinned {
        0 => "no job waited to go on with it".to_owned(),
        _ => format!("{} that had begun on it go on with the active version", plural(unpinned, "job", "jobs")),
    }
}

/// Whether new jobs can be sent to a version that get none so far, and whether it can be retired.
#[must_use]
pub const fn is_idle(version: &VersionView) -> bool {
    !version.active && version.canary_percent.is_none() && version.retired_at.is_none()
}

/// The version that is to become the canary, or to get another share: as long as the module has it and it can be one.
#[must_use]
pub fn chosen(module: &ModuleView, digest: Option<Digest>) -> Option<Digest> {
    let can_be =
        |version: &&VersionView| Some(version.digest) == digest && !version.active && version.retired_at.is_none();
    module.versions.iter().find(can_be).map(|version| version.digest)
}

#[cfg(test)]
mod tests {
    use windlass_api::Timestamp;

    use super::*;

    fn digest(number: u8) -> Digest {
        format!("{number:064x}").parse().unwrap()
    }

    fn version(number: u8) -> VersionView {
        VersionView {
            digest: digest(number),
            size_bytes: 1,
            version: format!("{number}.0"),
            sdk: "rust".to_owned(),
            handlers: Vec::new(),
            deployed_at: Timestamp(0),
            active: false,
            canary_percent: None,
            retired_at: None,
        }
    }

    fn module() -> ModuleView {
        let versions = vec![
            VersionView { canary_percent: Some(5), ..version(4) },
            VersionView { active: true, ..version(3) },
            version(2),
            VersionView { retired_at: Some(Timestamp(1)), ..version(1) },
        ];
        ModuleView { name: "m".parse().unwrap(), versions }
    }

    #[test]
    fn a_share_is_a_whole_number_of_percent() {
        assert_eq!((share("1"), share(" 25 "), share("100")), (Ok(1), Ok(25), Ok(100)));
        for wrong in ["", "0", "101", "300", "-1", "2.5", "ten"] {
            assert!(share(wrong).unwrap_err().contains("from 1 to 100"), "{wrong}");
        }
        assert!(share(FIRST_SHARE).is_ok());
    }

    #[test]
    fn only_what_gets_no_jobs_and_may_get_some_is_idle() {
        let idle: Vec<_> = module().versions.into_iter().filter(is_idle).map(|version| version.digest).collect();
        assert_eq!(idle, [digest(2)]);
    }

    #[test]
    fn a_share_is_asked_for_as_long_as_the_version_can_be_the_canary() {
        let chosen = |number| chosen(&module(), Some(digest(number)));
        assert_eq!(
            (chosen(2), chosen(4)),
            (Some(digest(2)), Some(digest(4))),
            "one that is idle, and the canary itself"
        );
        assert_eq!((chosen(1), chosen(3), chosen(9)), (None, None, None), "retired, active, of another module");
        assert_eq!(super::chosen(&module(), None), None);
    }

    #[test]
    fn each_step_says_what_it_did() {
        let name = "shop".parse().unwrap();
        assert_eq!(Step::Canary(digest(1), 5).done(&name), "5 % of the new jobs of shop go to version 000000000000.");
        assert_eq!(Step::Promote(digest(1)).done(&name), Step::Activate(digest(1)).done(&name));
        assert_eq!(moved(0), "no job waited to go on with it");
        assert_eq!(moved(1), "1 job that had begun on it go on with the active version");
    }
}
