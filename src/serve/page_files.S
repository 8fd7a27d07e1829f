// The playground's files, linked into the program.
    .section .rodata.gpt2_page, "a"
    .globl gpt2_page_html, gpt2_page_html_end, gpt2_page_css, gpt2_page_css_end, gpt2_page_js, gpt2_page_js_end
gpt2_page_html:
    .incbin "src/serve/page.html"
gpt2_page_html_end:
gpt2_page_css:
    .incbin "src/serve/page.css"
gpt2_page_css_end:
gpt2_page_js:
    .incbin "src/serve/page.js"
gpt2_page_js_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
