/* process.h - other processes: this program again, with an argument that tells it what to do. */
#ifndef NETIPC_TESTS_PROCESS_H
#define NETIPC_TESTS_PROCESS_H

#ifdef _WIN32

#include <windows.h>

typedef HANDLE process;

static inline process process_start(const char *self, const char *argument)
{
    char line[1024];
    STARTUPINFOA startup = {.cb = sizeof startup};
    PROCESS_INFORMATION started;
    snprintf(line, sizeof line, "\"%s\" %s", self, argument);
    if (!CreateProcessA(NULL, line, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &started))
        exit(1);
    CloseHandle(started.hThread);
    return started.hProcess;
}

/* Ends it, without a chance to do anything, and waits until it is gone. */
static inline void process_kill(process killed)
{
    TerminateProcess(killed, 9);
    WaitForSingleObject(killed, INFINITE);
    CloseHandle(killed);
}

#else

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

typedef pid_t process;

static inline process process_start(const char *self, const char *argument)
{
    process started = fork();
    if (started == 0) {
        execl(self, self, argument, (char *)NULL);
        _exit(127);
    }
    return started;
}

/* Ends it, without a chance to do anything, and waits until it is gone. */
static inline void process_kill(process killed)
{
    kill(killed, SIGKILL);
    waitpid(killed, NULL, 0);
}

#endif

#endif
