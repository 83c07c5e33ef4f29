/*
 * Preloaded into a private pcscd. The vpcd driver binds its ports on all interfaces and has no option for less; here
 * they become loopback ports. And pcscd ends with the process that started it, however that process ends.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* bsim/links/pcscd.py knows this exit status: the port is taken, try others. */
#define PORT_TAKEN 98

typedef int bind_function(int, const struct sockaddr *, socklen_t);

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    bind_function *next = (bind_function *)dlsym(RTLD_NEXT, "bind");
    struct sockaddr_in loopback;

    if (address->sa_family != AF_INET)
        return next(fd, address, length);
    loopback = *(const struct sockaddr_in *)address;
    loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* The driver would report the failure and pcscd go on without a reader: better no pcscd at all. */
    if (next(fd, (const struct sockaddr *)&loopback, sizeof loopback) != 0)
        _exit(PORT_TAKEN);
    return 0;
}

/* Standard input is a pipe nobody writes to: it reads as ended when the other end is closed by whatever death. */
static void *end_with_parent(void *unused)
{
    char byte;

    (void)unused;
    while (read(STDIN_FILENO, &byte, 1) != 0)
        ;
    _exit(0);
}

__attribute__((constructor)) static void watch_parent(void)
{
    sigset_t all, before;
    pthread_t thread;

    /* Signals are pcscd's own threads' business: this thread inherits a full mask. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, end_with_parent, NULL) == 0)
        pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
