;; A handler without any SDK, in WebAssembly's text format: it logs a line and gives its payload back as its result.
;;
;; What a component exports and imports is in `wit/`; how records lie in memory is the component model's canonical ABI. Memory here:
;; 16 texts, 128 the manifest with its list of one handler at 256, 512 the result, 64 Ki on what the host hands over.
(module
    (import "windlass:job/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32 i32)))

    (memory (export "memory") 2)
    (data (i32.const 16) "wat-echo" "0.1.0" "by hand" "echo" "echoing")

    ;; manifest: name, version and sdk, each an address and a length, and the list of handlers.
    (data (i32.const 128)
        "\10\00\00\00" "\08\00\00\00"
        "\18\00\00\00" "\05\00\00\00"
        "\1d\00\00\00" "\07\00\00\00"
        "\00\01\00\00" "\01\00\00\00")

    ;; handler: its name. All that follows is absent or empty, which are zeros: so the host's defaults hold.
    (data (i32.const 256) "\24\00\00\00" "\04\00\00\00")

    ;; Where the host puts what it hands over: one behind the other. Nothing is given back, since each run has a fresh memory.
    (global $free (mut i32) (i32.const 0x10000))
    (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
        (local $place i32)
        (local.set $place (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
        (global.set $free (i32.add (local.get $place) (local.get $size)))
        ;; A payload is larger than what is there: grow, and trap where that is refused.
        (block $there
            (br_if $there (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 0x10000))))
            (br_if $there (i32.ne (i32.const -1)
                (memory.grow (i32.add (i32.shr_u (local.get $size) (i32.const 16)) (i32.const 1)))))
            (unreachable))
        (local.get $place))

    (func (export "windlass:job/handlers@0.1.0#describe") (result i32)
        (i32.const 128))

    ;; job: the payload's address is at 36 and its length at 40, behind three texts and three numbers.
    ;; result<option<json>, job-error>: at 0 whether it is an error, at 8 whether there is a result, at 12 and 16 its text.
    (func (export "windlass:job/handlers@0.1.0#run") (param $job i32) (result i32)
        ;; level 2 is `info`; no fields.
        (call $log (i32.const 2) (i32.const 40) (i32.const 7) (i32.const 0) (i32.const 0) (i32.const 0))
        (i32.store8 (i32.const 520) (i32.const 1))
        (i32.store (i32.const 524) (i32.load offset=36 (local.get $job)))
        (i32.store (i32.const 528) (i32.load offset=40 (local.get $job)))
        (i32.const 512)))
