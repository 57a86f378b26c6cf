;; One version of a module that is deployed again and again. It says which one it is: NNNN stands for four digits. Its handler gives
;; them as its result; where the payload is `1`, its first attempt fails instead, and says them in its failure.
;;
;; How records lie in memory: see examples/wat-echo. Memory here: 16 texts, 128 the manifest, 256 its handler, 512 the result, 64 Ki on
;; what the host hands over.
(module
    (memory (export "memory") 2)
    (data (i32.const 16) "hot-deploy" "by hand" "step" "first" "\"NNNN\"")

    ;; manifest: name, version and sdk, each an address and a length, and the list of handlers.
    (data (i32.const 128)
        "\10\00\00\00" "\0a\00\00\00"
        "\2b\00\00\00" "\04\00\00\00"
        "\1a\00\00\00" "\07\00\00\00"
        "\00\01\00\00" "\01\00\00\00")

    ;; handler: its name.
    (data (i32.const 256) "\21\00\00\00" "\04\00\00\00")

    (global $free (mut i32) (i32.const 0x10000))
    (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
        (local $place i32)
        (local.set $place (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
        (global.set $free (i32.add (local.get $place) (local.get $size)))
        (local.get $place))

    (func (export "windlass:job/handlers@0.1.0#describe") (result i32)
        (i32.const 128))

    ;; job: the attempt is at 28, the payload's address at 36.
    (func (export "windlass:job/handlers@0.1.0#run") (param $job i32) (result i32)
        (if (i32.and
                (i32.eq (i32.load offset=28 (local.get $job)) (i32.const 1))
                (i32.eq (i32.load8_u (i32.load offset=36 (local.get $job))) (i32.const 0x31)))
            (then
                ;; An error, at 8 which kind (0, `retry`), at 16 its code and at 24 its message, which has no quotes.
                (i32.store8 (i32.const 512) (i32.const 1))
                (i32.store (i32.const 528) (i32.const 37))
                (i32.store (i32.const 532) (i32.const 5))
                (i32.store (i32.const 536) (i32.const 43))
                (i32.store (i32.const 540) (i32.const 4)))
            (else
                ;; A result, at 12 and 16 its text.
                (i32.store8 (i32.const 520) (i32.const 1))
                (i32.store (i32.const 524) (i32.const 42))
                (i32.store (i32.const 528) (i32.const 6))))
        (i32.const 512)))
