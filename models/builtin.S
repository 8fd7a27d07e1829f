// The built-in model, linked into the program on a page boundary so that it is only mapped. Without GPT2_BUILTIN_FILE (the
// first stage of the build, which converts it) there is none.
    .section .rodata.gpt2_builtin, "a"
    .balign 65536
    .globl gpt2_builtin_begin
    .globl gpt2_builtin_end
gpt2_builtin_begin:
#ifdef GPT2_BUILTIN_FILE
    .incbin GPT2_BUILTIN_FILE
#endif
gpt2_builtin_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
