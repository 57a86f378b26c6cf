//! The scripts, one per verb, and how they are called.

use std::sync::LazyLock;

use redis::{Cmd, ToRedisArgs};

/// What a script does to the server's state, which decides when Redis refuses it as a whole before it begins.
enum Access {
    /// It only reads.
    Reads,
    /// It stores more: refused where the memory is full.
    Stores,
    /// It brings what is there to an end: let through where the memory is full, or nothing would ever leave it.
    Drains,
}

/// A script with its hash, by which Redis knows it once it has been called.
pub(super) struct Script {
    code: String,
    hash: String,
}

impl Script {
    fn new(access: &Access, parts: &[&str]) -> Self {
        let first = match access {
            Access::Reads => "#!lua flags=no-writes\n",
            Access::Stores => "#!lua\n",
            Access::Drains => "#!lua flags=allow-oom\n",
        };
        // Whatever uses what stands in a function around it finds it at once; what stands beside it, Lua looks for among all
        // that is used so far, which took a third of a short script's time.
        let code = [first, COMMON, "return (function()\n", &parts.concat(), "end)()\n"].concat();
        let hash = redis::Script::new(&code).get_hash().to_owned();
        Self { code, hash }
    }
}

const COMMON: &str = include_str!("scripts/common.lua");
const MOVES: &str = concat!(include_str!("scripts/moves.lua"), include_str!("scripts/commit.lua"));
const FLOW: &str = include_str!("scripts/flow.lua");
const BIRTHS: &str = include_str!("scripts/births.lua");
const RULES: &str = include_str!("scripts/rules.lua");
const LIMITS: &str = include_str!("scripts/limits.lua");

macro_rules! scripts {
    ($($name:ident: $access:ident $(+ $part:ident)* = $file:literal;)*) => {
        $(pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(&Access::$access, &[$($part,)* include_str!(concat!("scripts/", $file))])
        });)*
    };
}

scripts! {
    OPEN: Drains + MOVES = "open.lua";
    ENQUEUE: Stores + MOVES + FLOW + BIRTHS = "enqueue.lua";
    CLAIM: Drains + MOVES + FLOW + RULES + LIMITS = "claim.lua";
    SETTLE: Drains + MOVES + FLOW + BIRTHS + RULES + LIMITS = "settle.lua";
    SET_ASIDE: Drains + MOVES + RULES + LIMITS = "set_aside.lua";
    NOTE: Stores + MOVES = "note.lua";
    PUT_CHECKPOINT: Stores + MOVES = "put_checkpoint.lua";
    PROMOTE: Drains + MOVES + FLOW + RULES + LIMITS = "promote.lua";
    PRUNE: Drains + MOVES + FLOW = "prune.lua";
    REMOVE: Drains + MOVES + FLOW = "remove.lua";
    REQUEUE: Drains + MOVES + FLOW + BIRTHS = "requeue.lua";
    LIST: Reads + MOVES = "list.lua";
    REGISTER: Drains + MOVES = "register.lua";
    HEARTBEAT: Drains = "heartbeat.lua";
    GIVE_UP: Drains + MOVES + FLOW + RULES + LIMITS = "give_up.lua";
    PULSES: Reads = "pulses.lua";
    SERVERS: Reads = "servers.lua";
    QUEUES: Reads = "queues.lua";
    PAUSE: Drains + MOVES = "pause.lua";
    COUNTERS: Reads = "counters.lua";
    HAS_COMPONENT: Reads + MOVES = "has_component.lua";
    ADD_VERSION: Stores + MOVES = "add_version.lua";
    ACTIVATE: Stores + MOVES = "activate.lua";
    SET_CANARY: Stores + MOVES = "set_canary.lua";
    END_CANARY: Drains + MOVES = "end_canary.lua";
    NEEDED: Reads + MOVES = "needed.lua";
    RETIRE: Drains + MOVES = "retire.lua";
    UNPIN: Drains + MOVES = "unpin.lua";
    REHOME: Drains + MOVES = "rehome.lua";
    MODULES: Reads = "modules.lua";
    PUT_RECURRING: Stores + MOVES + FLOW + BIRTHS = "put_recurring.lua";
    REMOVE_RECURRING: Drains + MOVES = "remove_recurring.lua";
    RECURRING: Reads = "recurring.lua";
    PUT_LIMIT: Stores + MOVES + RULES + LIMITS = "put_limit.lua";
    REMOVE_LIMIT: Drains + MOVES + RULES + LIMITS = "remove_limit.lua";
    SHOW_LIMITS: Reads + MOVES + RULES + LIMITS = "show_limits.lua";
    RELATIONS: Reads + MOVES + FLOW = "relations.lua";
    RECORD_AUDIT: Stores + MOVES = "record_audit.lua";
    IMPORT: Stores + MOVES + FLOW + BIRTHS + RULES = "import.lua";
}

/// A call of a script on its way out.
pub(super) struct Call {
    script: &'static Script,
    pub(super) command: Cmd,
}

impl Call {
    /// The first three arguments are every script's: the prefix, the instant, and who calls.
    pub(super) fn new(script: &'static Script, prefix: &str, now: &str, origin: &[u8]) -> Self {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&script.hash).arg(1).arg(prefix).arg(now).arg(origin);
        Self { script, command }
    }

    pub(super) fn arg(&mut self, value: impl ToRedisArgs) -> &mut Self {
        self.command.arg(value);
        self
    }

    /// The same call with the script itself, for a server that does not know it yet.
    pub(super) fn with_code(&self) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(&self.script.code);
        for arg in self.command.args_iter().skip(2) {
            if let redis::Arg::Simple(bytes) = arg {
                command.arg(bytes);
            }
        }
        command
    }
}
